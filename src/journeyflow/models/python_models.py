"""Python models: relations filled by functions that register themselves with `@python_model`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from journeyflow.errors import ModelError
from journeyflow.models.model import Model

if TYPE_CHECKING:
    from journeyflow.config import Config
    from journeyflow.engines import Engine


Function = Callable[..., pa.Table | pa.RecordBatchReader | str | None]
F = TypeVar("F", bound=Function)

_REGISTRY: dict[str, Function] = {}


def python_model(*relations: str) -> Callable[[F], F]:
    """Register a function as the python model of `relations`.

    The `.yml` of each relation names the module that holds the function, which is imported when the model is built. The
    function takes `engine`, `config`, both or neither, by these names. It returns the rows of its one relation as an
    Arrow table or record batch reader, or a SELECT; or None when it has filled its relations itself.

    Parameters
    ----------
    relations : str
        ``layer.name`` of the relation; of several, the first is the one whose `.yml` names the module, the others'
        name it.

    """

    def register(function: F) -> F:
        _REGISTRY.update(dict.fromkeys(relations, function))
        return function

    return register


def build_python_model(engine: Engine, config: Config, model: Model) -> None:
    """Fill the relation of `model`; one that another model's function fills is there already."""
    function = _function_of(model)
    if function is None:
        return
    given = {"engine": engine, "config": config}
    result = function(**{name: given[name] for name in inspect.signature(function).parameters if name in given})
    if isinstance(result, str):
        engine.run(model.name, result)
    elif result is not None:
        engine.register(model.name, result.read_all() if isinstance(result, pa.RecordBatchReader) else result)


def select_of(config: Config, model: Model) -> str:
    """Return the SELECT that the configuration compiles to; ModelError where the function needs more than that."""
    function = _function_of(model)
    names = set(inspect.signature(function).parameters) if function else {"engine"}
    result = function(**dict.fromkeys(names, config)) if function and names <= {"config"} else None
    if not isinstance(result, str):
        raise ModelError(f"{model.name} is filled by Python, not by a SELECT.")
    return result


def registered(module: str) -> dict[str, Function]:
    """Import `module` and return the python models that it registers, by relation."""
    import_module(module)
    return {name: function for name, function in _REGISTRY.items() if function.__module__ == module}


def _function_of(model: Model) -> Function | None:
    if model.filled_with:
        return None
    module = model.metadata.python_model or ""
    if not _exists(module):
        raise ModelError(
            f"{model.name} says python_model {module}, which is no module; name the one that holds the function "
            f'decorated with @python_model("{model.name}").'
        )
    found = registered(module)
    if model.name not in found:
        known = ", ".join(sorted(found)) or "nothing"
        raise ModelError(f"{model.name} says python_model {module}, but that module registers {known}.")
    return found[model.name]


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
