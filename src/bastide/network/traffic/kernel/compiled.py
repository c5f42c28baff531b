"""How kernel functions are compiled: by numba, without the GIL, kept in its cache folder; or not at all.

A cached function is only looked up by its own file, so whoever starts a process points ``NUMBA_CACHE_DIR`` to a folder
named after a digest of this whole package (``adapters.sandbox`` does).
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])

Buffer = NDArray[np.uint8]
Integers = NDArray[np.int64]


# Without numba's runtime: it counts references of arrays with locked instructions, for each row and each call, which took two
# thirds of the kernel's time. The kernel makes no array, and whoever calls it holds those that it is given.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}


def compiled(function: Function) -> Function:
    """The function, compiled at its first call. It may not make arrays."""
    return cast(Function, njit(cache=True, **_OPTIONS)(function))


def inlined(function: Function) -> Function:
    """The same for small readers: LLVM inlines them into their callers."""
    return cast(Function, njit(**_OPTIONS)(function))
