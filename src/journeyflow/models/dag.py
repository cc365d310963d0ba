"""The graph of models: read from `sql/`, resolved and ordered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from journeyflow.errors import ModelError
from journeyflow.models import metadata
from journeyflow.models.metadata import Column
from journeyflow.models.model import LAYERS, Model, check_arrow

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

LOADED_LAYERS = ("load", "config")
"""What `python_model` says of relations that are there when a night has loaded."""

_SELECTOR = re.compile(r"(?:(?P<up>\d*)\+)?(?P<name>(?:tag:)?[A-Za-z_]\w*(?:\.(?:\w+|\*))?)(?:\+(?P<down>\d*))?")

_RUN_LEDGER = ("ledger.new_events", "ledger.shares")

STITCHED = ("identity.identities", "identity.users", "identity.persons")


class Phase(StrEnum):
    """The part of a night in which a model is built."""

    LOAD = "load"
    STITCH = "stitch"
    CLASSIFY = "classify"
    BUILD = "build"


@dataclass(frozen=True)
class Graph:
    """All models of a project, upstream before downstream.

    Attributes
    ----------
    models : mapping of str to Model
        By name, in an order in which they can be built.
    """

    models: Mapping[str, Model]

    def __iter__(self) -> Iterator[Model]:
        return iter(self.models.values())

    def __getitem__(self, name: str) -> Model:
        if name not in self.models:
            raise ModelError(f"There is no model {name}.{_nearest(name, self.models)}")
        return self.models[name]

    def ancestors(self, names: Iterable[str]) -> frozenset[str]:
        """Return `names` (those that exist) and everything they read, directly or not."""
        found: set[str] = set()
        waiting = [name for name in names if name in self.models]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(self.models[name].inputs)
        return frozenset(found)

    def phase(self, name: str) -> Phase:
        """Return the phase in which `name` is built, see `docs/architecture.md`."""
        if self[name].metadata.python_model in LOADED_LAYERS:
            return Phase.LOAD
        if name in self._stitched:
            return Phase.STITCH
        return Phase.CLASSIFY if name in self._classified else Phase.BUILD

    def of_phase(self, phase: Phase) -> tuple[Model, ...]:
        """Return the models of one phase in the order of building."""
        return tuple(model for model in self if self.phase(model.name) == phase)

    def published(self) -> tuple[Model, ...]:
        """Return the models that users read, by name."""
        return tuple(sorted((model for model in self if model.is_published), key=lambda model: model.name))

    def select(self, selectors: Sequence[str]) -> tuple[str, ...]:
        """Return the models that dbt-like `selectors` name, in the order of building.

        A selector is ``layer.table``, a table name that only one layer has, or all of a layer: ``tag:layer`` or
        ``layer.*``. ``+name`` adds what it reads, ``name+`` what reads it, directly or not; ``2+name`` and ``name+2``
        at most two steps away. Several are separated by commas or spaces.

        ``+name`` stops at the results of the phase classify: what is loaded, staged, stitched or in the kernel is
        input, and built only when it is named, when all of its layer is such input and the layer is named, or when it reads
        something of ``name+``. What only a run can make is never selected. Relations that one Python function fills are
        selected together.

        Raises
        ------
        ModelError
            When a selector names nothing; gives the nearest names.
        """
        found: set[str] = set()
        for selector in _split(selectors):
            found |= self._selected(selector)
        functions = {self[name].metadata.python_model for name in found} - {None}
        return tuple(model.name for model in self if model.name in found or model.metadata.python_model in functions)

    def _selected(self, selector: str) -> set[str]:
        matched = _SELECTOR.fullmatch(selector)
        if not matched:
            raise ModelError(
                f"`{selector}` is no selector: write a model or a layer as in +marts.promises or tag:marts."
            )
        named = self._named(matched["name"])
        found = set(named) - self._made_by_runs
        if matched["up"] is not None:
            found |= self._reached(named, self._upstream, matched["up"])
        if matched["down"] is not None:
            found |= self._reached(named, self._downstream, matched["down"])
        if not found:
            raise ModelError(f"Only a run makes {selector}; select what reads it: {matched['name']}+.")
        return found

    def _named(self, name: str) -> list[str]:
        layer = name.removeprefix("tag:") if name.startswith("tag:") else name.removesuffix(".*")
        if layer != name:
            named = [model.name for model in self if model.layer == layer]
            # What the phases before `build` made is input of a selection, like the layers that hold nothing else.
            named = [name for name in named if self._is_upstream(name)] or named
            layers = {model.layer for model in self}
            missing = f"There is no layer {layer}.{_nearest(layer, layers)}"
        else:
            named = [model.name for model in self if name in (model.name, model.table)]
            missing = f"There is no model {name}.{_nearest(name, [*self.models, *(model.table for model in self)])}"
        if not named:
            raise ModelError(missing)
        if layer == name and len(named) > 1:
            raise ModelError(f"{name} is the name of {' and '.join(named)}: write the layer too.")
        return named

    def _reached(self, start: Iterable[str], neighbours: Mapping[str, tuple[str, ...]], depth: str) -> set[str]:
        """Return what is at most `depth` steps away from `start`, all of it where no depth is given."""
        found: set[str] = set()
        edge, steps = set(start), int(depth) if depth else len(self.models)
        while edge and steps:
            edge = {further for name in edge for further in neighbours[name]} - found
            found |= edge
            steps -= 1
        return found

    @cached_property
    def _made_by_runs(self) -> frozenset[str]:
        """Loaded relations, and those that read what `ledger.*` holds only during the run that loaded it."""
        return frozenset(
            model.name for model in self if self.phase(model.name) == Phase.LOAD or {*_RUN_LEDGER} & {*model.inputs}
        )

    def _is_upstream(self, name: str) -> bool:
        return self.phase(name) == Phase.BUILD and name not in self._made_by_runs

    @cached_property
    def _upstream(self) -> Mapping[str, tuple[str, ...]]:
        return {model.name: tuple(name for name in model.inputs if self._is_upstream(name)) for model in self}

    @cached_property
    def _downstream(self) -> Mapping[str, tuple[str, ...]]:
        readers: dict[str, list[str]] = {name: [] for name in self.models}
        for model in self:
            if model.name not in self._made_by_runs:
                for name in model.inputs:
                    readers[name].append(model.name)
        return {name: tuple(found) for name, found in readers.items()}

    @cached_property
    def _stitched(self) -> frozenset[str]:
        return self.ancestors(STITCHED)

    @cached_property
    def _classified(self) -> frozenset[str]:
        return self.ancestors(name for name in self.models if name.startswith("kernel."))


def load_graph(folder: Path, own: Path | None = None) -> Graph:
    """Read the models under `folder` and, where given, the user's own under `own`.

    Parameters
    ----------
    folder : Path
        The project's `sql/`.
    own : Path or None
        A folder of the same layout; its models may read any published table.

    Raises
    ------
    ModelError
        For an unknown table, a cycle, an arrow against the layers, a column described twice or nowhere, bad paperwork.
    """
    drafts = {model.name: model for model in _read_folder(folder, is_own=False)}
    if own is not None and own.is_dir() and own.resolve() != folder.resolve():
        for model in _read_folder(own, is_own=True):
            if model.name in drafts:
                raise ModelError(f"{model.path} redefines the built-in model {model.name}; give it another name.")
            drafts[model.name] = model
    drafts = _sharing_inputs(drafts)
    _check_names(drafts.values())
    for model in drafts.values():
        _check_inputs(model, drafts)
    built: dict[str, Model] = {}
    for name in _ordered(drafts):
        built[name] = replace(drafts[name], columns=_resolved(drafts[name], built, _siblings(drafts[name], drafts)))
    return Graph(built)


def _split(selectors: Sequence[str]) -> list[str]:
    found = [part for selector in selectors for part in re.split(r"[,\s]+", selector) if part]
    if not found:
        raise ModelError("Nothing is selected: name a model or a layer, as in +marts.promises or tag:marts.")
    return found


def _read_folder(folder: Path, *, is_own: bool) -> Iterator[Model]:
    if not folder.is_dir():
        raise ModelError(f"The folder of models {folder} does not exist.")
    stems = {path.with_suffix("") for suffix in ("sql", "yml") for path in folder.rglob(f"*.{suffix}")}
    for stem in sorted(stems):
        layer = stem.parent.name
        if stem.parent.parent != folder or layer not in LAYERS:
            raise ModelError(f"{stem.relative_to(folder)} must lie in one of the layers {', '.join(LAYERS)}.")
        if layer == "sources" and metadata.is_adapter(stem.with_suffix(".yml")):
            continue  # It shapes raw files while they are loaded, and is no node of the graph.
        yield _read_model(stem, f"{layer}.{stem.name}", is_own=is_own)


def _read_model(stem: Path, name: str, *, is_own: bool) -> Model:
    select, side = stem.with_suffix(".sql"), stem.with_suffix(".yml")
    if not side.exists():
        raise ModelError(f"{name} has no {side.name} beside {select.name}; see docs/architecture.md for its format.")
    words = metadata.read_metadata(side)
    if is_own and (words.unique_key or words.surrogate_key):
        raise ModelError(
            f"{name}: leave unique_key and surrogate_key out of {side.name}; "
            "a model of your own is built anew each night."
        )
    if not select.exists():
        if not words.python_model:
            raise ModelError(f"{name} has neither a {select.name} nor `python_model`.")
        if is_own:
            raise ModelError(f"{name} says python_model; a model of your own is a SELECT in {select.name}.")
        return Model(name, side, None, words.inputs, words, {})
    if words.python_model or words.inputs:
        raise ModelError(f"{name} has a {select.name}: leave python_model and inputs out of {side.name}.")
    for word in (stem.name, *words.columns):
        if not _WORD.fullmatch(word):
            raise ModelError(
                f"{name}: `{word[:40]}` cannot name a table or column: use letters, digits and underscores."
            )
    from journeyflow.models import sql  # A graph read from the cache needs no parser.

    text = metadata.text_of(select)
    tree = sql.parsed(text, select)
    if (says := sql.output_columns(tree)) != tuple(words.columns):
        extra = sorted(set(says) ^ set(words.columns)) or ["the order"]
        raise ModelError(f"{name}: {select.name} and {side.name} differ in columns ({', '.join(extra)}).")
    return Model(name, select, text, sql.tables_read(tree, select), words, {}, is_own, sql.origins(tree))


def _sharing_inputs(models: Mapping[str, Model]) -> dict[str, Model]:
    """Give relations that one function fills at once the inputs of all of them: it runs when the last is there."""
    together: dict[str, list[Model]] = {}
    for model in models.values():
        if model.metadata.python_model and model.metadata.python_model not in LOADED_LAYERS:
            together.setdefault(model.metadata.python_model, []).append(model)
    shared = dict(models)
    for group in together.values():
        names = {model.name for model in group}
        inputs = tuple(dict.fromkeys(name for model in group for name in model.inputs if name not in names))
        shared |= {model.name: replace(model, inputs=inputs) for model in group}
    return shared


def _check_inputs(model: Model, models: Mapping[str, Model]) -> None:
    for upstream in model.inputs:
        if upstream not in models:
            raise ModelError(f"{model.name} reads {upstream}, which does not exist.{_nearest(upstream, models)}")
        check_arrow(model, models[upstream])


def _check_names(models: Iterable[Model]) -> None:
    """Published tables lie side by side in one schema, whatever their layer."""
    taken: dict[str, str] = {}
    for model in models:
        if model.is_published and taken.setdefault(model.table, model.name) != model.name:
            raise ModelError(f"{taken[model.table]} and {model.name} would be published under one name; rename one.")


def _ordered(models: Mapping[str, Model]) -> Iterable[str]:
    sorter = TopologicalSorter({name: model.inputs for name, model in sorted(models.items())})
    try:
        return tuple(sorter.static_order())
    except CycleError as error:
        raise ModelError(f"Models read one another in a circle: {' -> '.join(error.args[1])}.") from error


def _siblings(model: Model, models: Mapping[str, Model]) -> dict[str, Column]:
    """Return the columns described by relations that the same function fills."""
    python_model = model.metadata.python_model
    together = [
        each.metadata for each in models.values() if python_model and each.metadata.python_model == python_model
    ]
    return {name: column for words in together for name, column in words.columns.items() if column}


def _resolved(model: Model, built: Mapping[str, Model], siblings: Mapping[str, Column]) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    for name, described in model.metadata.columns.items():
        passed_on = model.origins.get(name)
        if described and passed_on and passed_on[1] in built[passed_on[0]].columns:
            raise ModelError(f"{model.name} describes `{name}` again; {passed_on[0]} did. List the bare name.")
        columns[name] = described or siblings.get(name) or _inherited(model, name, passed_on, built)
    return columns


def _inherited(model: Model, name: str, passed_on: tuple[str, str] | None, built: Mapping[str, Model]) -> Column:
    nearest = [passed_on[0]] if passed_on else list(model.inputs)
    seen: set[str] = set()
    while nearest:
        for upstream in nearest:
            if name in built[upstream].columns:
                return built[upstream].columns[name]
        seen.update(nearest)
        nearest = [further for upstream in nearest for further in built[upstream].inputs if further not in seen]
    raise ModelError(f"{model.name} lists `{name}` bare, and no upstream model describes it: give type and meaning.")


def _nearest(name: str, names: Iterable[str]) -> str:
    close = get_close_matches(name, list(names), n=3)
    return f" Did you mean {', '.join(close)}?" if close else " See `journeyflow plan` for the names."
