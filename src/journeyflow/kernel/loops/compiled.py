"""How the loops are compiled: cached on disk where that is possible, and without the GIL."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a loop over arrays.

    Numba keeps compiled code beside the module, or else in the user's cache folder. Where neither can be written (a
    read-only image without a home) the code is compiled anew in each process.
    """
    try:
        dispatcher = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        return cast(F, numba.njit(nogil=True)(function))
    _stamp(dispatcher)
    return cast(F, dispatcher)


def _stamp(dispatcher: Any) -> None:  # noqa: ANN401 - a numba dispatcher has no public type
    """Let cached code go stale when any file of this folder changes.

    Numba looks at the function's own file only, yet the code holds that of the functions it calls. The stamp is of the
    sources as they were imported, so a long process cannot leave code of an older version behind for a newer one.
    """
    kept = getattr(dispatcher._cache, "_cache_file", None)
    if kept is not None and hasattr(kept, "_source_stamp"):
        kept._source_stamp = (*kept._source_stamp, _sources())


@cache
def _sources() -> str:
    digest = sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
