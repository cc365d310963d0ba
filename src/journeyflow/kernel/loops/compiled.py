"""How the loops are compiled: cached on disk where that is possible, and without the GIL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a loop over arrays.

    Numba keeps compiled code beside the module, or else in the user's cache folder. Where neither can be written (a
    read-only image without a home) the code is compiled anew in each process.
    """
    try:
        return cast(F, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:
        return cast(F, numba.njit(cache=False, nogil=True)(function))
