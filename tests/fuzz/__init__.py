"""Fuzz targets: each parser with seeds. A target may raise what its parser promises, nothing else."""

from collections.abc import Callable
from dataclasses import dataclass

from bastide.core.error import BastideError


@dataclass(frozen=True, slots=True)
class Target:
    """``parse`` takes any bytes; it may return, or raise one of ``allowed``."""

    name: str
    parse: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    allowed: tuple[type[Exception], ...] = (BastideError,)
