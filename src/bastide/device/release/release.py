"""A release, as its repository's signed targets name it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Release:
    """One release of one thing. ``path`` is its TUF target path, ``length`` in octets, ``digest`` the SHA-256 of its file in hex.

    ``facts`` are those that a device and its keeper decide by: ``counter``, ``hardware``, ``requires``, SBOM, more.
    """

    name: str
    version: str
    path: str
    length: int
    digest: str
    facts: Mapping[str, Any]
