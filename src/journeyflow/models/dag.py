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
from journeyflow.models.model import (
    LAYERS,
    Column,
    Model,
    check_arrow,
    is_adapter,
    read_metadata,
    read_text,
    short_path,
)

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_UNRESOLVED = Column(type="", meaning="resolved when all models are read")

_SELECTOR = re.compile(r"(?:(?P<up>\d*)\+)?(?P<name>(?:tag:)?[A-Za-z_]\w*(?:\.(?:\w+|\*))?)(?:\+(?P<down>\d*))?")

_RUN_LOG = ("ledger.new_events", "ledger.shares")

STITCHED = ("identity.identities", "identity.users", "identity.persons")


class Phase(StrEnum):
    """The part of a run in which a model is built."""

    LOAD = "load"
    STITCH = "stitch"
    CLASSIFY = "classify"
    BUILD = "build"


@dataclass(frozen=True)
class Graph:
    """All models of a project, upstream before downstream."""

    models: Mapping[str, Model]
    """By name, in an order in which they can be built."""

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

    def descendants(self, name: str) -> frozenset[str]:
        """Return what reads `name`, directly or not."""
        found = {name}
        for model in self:  # Upstream before downstream.
            if found & {*model.inputs}:
                found.add(model.name)
        return frozenset(found - {name})

    def phase(self, name: str) -> Phase:
        """Return the phase in which `name` is built, see `docs/architecture.md`."""
        if self[name].metadata.is_loaded:
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
        input, and built only when it is named, when all of its layer is such input and the layer is named, or when
        it reads something of ``name+``. What only a run can make is never selected. Relations that one function fills
        are selected together.

        Raises
        ------
        ModelError
            When a selector names nothing; gives the nearest names.
        """
        found: set[str] = set()
        for selector in _split(selectors):
            found |= self._selected(selector)
        leaders = {self[name].filled_with or name for name in found}
        return tuple(
            model.name for model in self if model.name in found or (model.filled_with or model.name) in leaders
        )

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
            model.name for model in self if self.phase(model.name) == Phase.LOAD or {*_RUN_LOG} & {*model.inputs}
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
        The built-in `sql/`.
    own : Path or None
        A folder of the same layout; its models may read any published table.

    Raises
    ------
    ModelError
        For an unknown table, a cycle, an arrow against the layers, a column described twice or nowhere, bad metadata.
    """
    models = {model.name: model for model in _read_folder(folder, is_own=False)}
    if own is not None and own.is_dir() and own.resolve() != folder.resolve():
        for model in _read_folder(own, is_own=True):
            if model.name in models:
                raise ModelError(f"{model.path} redefines the built-in model {model.name}; give it another name.")
            models[model.name] = model
    models = {name: _with_leader(model, models) for name, model in models.items()}
    _check_names(models.values())
    for model in models.values():
        _check_inputs(model, models)
    built: dict[str, Model] = {}
    for name in _ordered(models):
        built[name] = _resolved(models[name], built, _siblings(models[name], models))
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
            raise ModelError(f"{stem.relative_to(folder)} must be in one of the layers {', '.join(LAYERS)}.")
        if layer == "sources" and is_adapter(stem.with_suffix(".yml")):
            continue  # It shapes raw files while they are loaded, and is no node of the graph.
        yield _read_model(stem, f"{layer}.{stem.name}", is_own=is_own)


def _read_model(stem: Path, name: str, *, is_own: bool) -> Model:
    select, yml = stem.with_suffix(".sql"), stem.with_suffix(".yml")
    if not yml.exists():
        raise ModelError(f"{name} has no {yml.name} beside {select.name}; see docs/architecture.md for its format.")
    found = read_metadata(yml)
    if is_own and (found.unique_key or found.surrogate_key):
        raise ModelError(
            f"{name}: leave unique_key and surrogate_key out of {yml.name}; a user's own model is rebuilt in every run."
        )
    if not select.exists():
        if not found.python_model:
            raise ModelError(f"{name} has neither a {select.name} nor `python_model`.")
        if is_own:
            raise ModelError(f"{name} says python_model; a user's own model is a SELECT in {select.name}.")
        return Model(name, yml, None, found.inputs, found, dict.fromkeys(found.columns, _UNRESOLVED))
    if found.python_model or found.inputs:
        raise ModelError(f"{name} has a {select.name}: leave python_model and inputs out of {yml.name}.")
    from journeyflow.models.model import declared  # A graph read from the cache needs no parser.

    text = read_text(select)
    columns, inputs, origins = declared(text, select)
    for word in (stem.name, *columns):
        if not _WORD.fullmatch(word):
            raise ModelError(
                f"{name}: `{word[:40]}` cannot name a table or column: use letters, digits and underscores."
            )
    if unknown := sorted(set(found.columns) - set(columns)):
        raise ModelError(f"{name}: {yml.name} describes {', '.join(unknown)}, which {select.name} does not select.")
    names = dict.fromkeys(columns, _UNRESOLVED)
    return Model(name, select, text, inputs, found, names, is_own, origins)


def _with_leader(model: Model, models: Mapping[str, Model]) -> Model:
    """Let a model that another model's function fills come after that model."""
    leader = model.metadata.python_model
    if leader is None or leader not in models:
        return model
    if model.inputs:
        raise ModelError(f"{model.name} is filled with {leader}: leave inputs out of {model.path.name}.")
    return replace(model, inputs=(leader,), filled_with=leader)


def _check_inputs(model: Model, models: Mapping[str, Model]) -> None:
    for upstream in model.inputs:
        if upstream not in models:
            raise ModelError(f"{model.name} reads {upstream}, which does not exist.{_nearest(upstream, models)}")
        check_arrow(model, models[upstream])


def _check_names(models: Iterable[Model]) -> None:
    """Published tables share one schema, whatever their layer."""
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
    """Return the columns described by relations that the same function or phase fills."""
    source = _source_of(model)
    together = [each.metadata for each in models.values() if _source_of(each) == source]
    return {
        name: column
        for found in together
        for name, column in found.columns.items()
        if column is not None and column.has_meaning
    }


def _source_of(model: Model) -> str:
    if model.metadata.is_loaded:
        return model.metadata.python_model or ""
    return model.filled_with or model.name


def _resolved(model: Model, built: Mapping[str, Model], siblings: Mapping[str, Column]) -> Model:
    """Return the model with every column described: here, by a relation filled together with it, or upstream."""
    columns: dict[str, Column] = {}
    for name in model.columns:
        given, passed_on = model.metadata.columns.get(name), model.origins.get(name)
        if given is not None and given.has_meaning:
            if passed_on and passed_on[1] in built[passed_on[0]].columns:
                raise ModelError(f"{model.name} describes `{name}` again; {passed_on[0]} did. Leave it out.")
            columns[name] = given
            continue
        columns[name] = siblings.get(name) or _inherited(model, name, passed_on, built)
        if given is not None and given.type != columns[name].type:
            raise ModelError(f"{model.name} says `{name}` is {given.type}; upstream it is {columns[name].type}.")
    if message := model.metadata.unknown_columns(columns):
        raise ModelError(f"{short_path(model.path.with_suffix('.yml'))}: {message}.")
    return replace(model, columns=columns)


def _inherited(model: Model, name: str, passed_on: tuple[str, str] | None, built: Mapping[str, Model]) -> Column:
    nearest = [passed_on[0]] if passed_on else list(model.inputs)
    seen: set[str] = set()
    while nearest:
        for upstream in nearest:
            if name in built[upstream].columns:
                return built[upstream].columns[name]
        seen.update(nearest)
        nearest = [further for upstream in nearest for further in built[upstream].inputs if further not in seen]
    raise ModelError(f"{model.name} does not describe `{name}`, and no upstream model does: give type and meaning.")


def _nearest(name: str, names: Iterable[str]) -> str:
    close = get_close_matches(name, list(names), n=3)
    return f" Did you mean {', '.join(close)}?" if close else " See `journeyflow plan` for the names."
