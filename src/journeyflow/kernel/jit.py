"""Compilation with numba, and what compiled functions share: array types, binary search, a hash table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from numba.core import event
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

from journeyflow.utils.formatting import Progress

Bools = npt.NDArray[np.bool_]
Int8s = npt.NDArray[np.int8]
Int16s = npt.NDArray[np.int16]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]
F = TypeVar("F", bound=Callable[..., Any])

_SETTINGS: Any = numba.config
NEVER = np.iinfo(np.int64).max // 2
"""A time, rank or duration beyond all others; adding two of them does not overflow."""


def compiled(function: F) -> F:
    """Compile a function over arrays, and cache the code beside the module or in the user's cache folder.

    Where neither can be written (a read-only image without a home) each process compiles.
    """
    compiling: Any = numba.njit
    if _SETTINGS.DISABLE_JIT:  # For a debugger; numba then gives the function back.
        return function
    try:
        dispatcher = compiling(cache=True, nogil=True, no_cfunc_wrapper=True)(function)
    except RuntimeError:
        return cast(F, compiling(nogil=True, no_cfunc_wrapper=True)(function))
    _stamp(dispatcher)
    return cast(F, dispatcher)


def inner(function: F) -> F:
    """Compile as `compiled` a function that only compiled functions call, as a part of each of them.

    It allocates nothing: its arrays are those of its caller, so it counts no references to them. Numba would count them
    in each call and for each column of a tuple, which took half of the time of funnels and much of that of compiling.
    """
    return _inner(function, is_allocating=False)


def allocating(function: F) -> F:
    """Compile as `inner` a function that allocates arrays."""
    return _inner(function, is_allocating=True)


def _inner(function: F, *, is_allocating: bool) -> F:
    compiling: Any = numba.njit  # Its types lack these options.
    if _SETTINGS.DISABLE_JIT:
        return function
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": _InnerCompiler}
    dispatcher = compiling(_nrt=is_allocating, **options)(function)
    _widen(dispatcher)
    return cast(F, dispatcher)


class _InnerLibrary(JITCodeLibrary):
    """The code of an inner function as it was lowered: it is optimized and translated with what calls it only.

    Numba would do both for each function, together with all that it calls: a third of the time of compiling.
    """

    def add_llvm_module(self, module: Any) -> None:  # noqa: ANN401 - a module of llvmlite
        """Add code as it is."""
        self._final_module.link_in(module)

    def _optimize_final_module(self) -> None:
        """Leave the code as it is."""

    def _finalize_final_module(self) -> None:
        self._finalized = True

    @property
    def codegen(self) -> _InnerLibrary:
        """What is asked to set the environment of a translated function, which this is not."""
        return self

    def set_env(self, name: str, environment: object) -> None:
        """Set nothing."""


class _InnerCompiler(Compiler):
    """Numba's compiler, into an `_InnerLibrary`."""

    def __init__(self, typing: Any, target: Any, _: object, *settings: Any) -> None:  # noqa: ANN401 - of numba
        library: Any = _InnerLibrary
        initialize: Any = super().__init__
        initialize(typing, target, library(target.codegen(), "inner"), *settings)


@contextmanager
def reporting_compilation(progress: Progress) -> Iterator[None]:
    """Report to `progress` how many functions are compiled while the context lasts."""
    with event.install_listener("numba:compile", _CompilationListener(progress)):
        yield


class _CompilationListener(event.Listener):
    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.count = 0

    def on_start(self, event: object) -> None:
        """Report before a function is compiled, because the first takes seconds."""
        self.progress("compile", "the kernel, once per machine", self.count)

    def on_end(self, event: object) -> None:
        """Count a compiled function."""
        self.count += 1
        self.progress("compile", "the kernel, once per machine", self.count)


def _widen(dispatcher: Any) -> None:  # noqa: ANN401 - a numba dispatcher has no public type
    """Compile a call with a constant as any call: numba would compile the function again for each `0` and `True`."""
    template_of = dispatcher.get_call_template
    unliteral: Any = numba.types.unliteral

    def widened(args: tuple[Any, ...], kws: dict[str, Any]) -> Any:  # noqa: ANN401 - types of numba
        return template_of(tuple(map(unliteral, args)), {name: unliteral(kind) for name, kind in kws.items()})

    dispatcher.get_call_template = widened


def _stamp(dispatcher: Any) -> None:  # noqa: ANN401 - a numba dispatcher has no public type
    """Invalidate cached code when any file of this folder changes.

    Numba looks at the function's own file only, yet the code holds that of the functions it calls. The stamp is of the
    sources as they were imported, so a long process cannot leave code of an older version behind for a newer one.
    """
    cache_file = getattr(dispatcher._cache, "_cache_file", None)
    if cache_file is not None and hasattr(cache_file, "_source_stamp"):
        cache_file._source_stamp = (*cache_file._source_stamp, _sources())


@cache
def _sources() -> str:
    digest = sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@inner
def first_above(values: Int64s, lo: int, hi: int, limit: int) -> int:
    """Return the first place in `[lo, hi)` of the ascending `values` that is above `limit`, else `hi`."""
    while lo < hi:
        middle = (lo + hi) // 2
        if values[middle] > limit:
            hi = middle
        else:
            lo = middle + 1
    return lo


@allocating
def longer(rows: Int64s, count: int, room: int) -> Int64s:
    """Return the first `count` of `rows` with room for more; slices would compile the message of unequal shapes."""
    found = np.empty((room, rows.shape[1]), np.int64)
    for row in range(count):
        for column in range(rows.shape[1]):
            found[row, column] = rows[row, column]
    return found


class HashTable(NamedTuple):
    """Slots of the table; a slot is taken when its `owner` is the number of the current component."""

    keys: UInt64s
    other_keys: UInt64s
    owners: Int32s
    values: Int64s


@inner
def largest_component(component: UInt64s) -> int:
    """Return the number of events of the largest component."""
    largest = 1
    start = 0
    while start < len(component):
        stop = component_stop(component, start)
        largest = max(largest, stop - start)
        start = stop
    return largest


@inner
def component_stop(component: UInt64s, start: int) -> int:
    """Return the end of the component that begins at `start`."""
    stop = start + 1
    while stop < len(component) and component[stop] == component[start]:
        stop += 1
    return stop


@inner
def table_size(entries: int) -> int:
    """Return the size of a table that stays at most half full."""
    size = 8
    while size < 2 * entries:
        size *= 2
    return size


@allocating
def new_table(entries: int) -> HashTable:
    """Return a table with room for `entries`."""
    size = table_size(entries)
    return HashTable(
        np.zeros(size, np.uint64), np.zeros(size, np.uint64), np.zeros(size, np.int32), np.zeros(size, np.int64)
    )


@inner
def find_slot(table: HashTable, size: int, owner: int, key: np.uint64, other_key: np.uint64) -> int:
    """Return the slot of a pair of keys among the first `size`: the one that holds it, or the free one to put it in."""
    mask = np.uint64(size - 1)
    mixed = (key ^ (other_key * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xBF58476D1CE4E5B9)
    slot = int(np.int64((mixed >> np.uint64(20)) & mask))
    while table.owners[slot] == owner and not (table.keys[slot] == key and table.other_keys[slot] == other_key):
        slot = (slot + 1) & (size - 1)
    return slot


@inner
def take_slot(table: HashTable, slot: int, owner: int, key: np.uint64, other_key: np.uint64, value: int) -> None:
    """Put a pair of keys and its value into a free slot."""
    table.owners[slot] = owner
    table.keys[slot] = key
    table.other_keys[slot] = other_key
    table.values[slot] = value
