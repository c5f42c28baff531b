"""Bounds of unpacking: octets, files, depth, time. What they cut short is said, and the rest goes on."""

from collections.abc import Callable
from dataclasses import dataclass, field


class Spent(Exception):
    """A bound was reached inside one container; what it gave until then counts."""


class Damaged(Exception):
    """A container that does not follow its form from here on; what it gave until then counts."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What was cut short, where, and why."""

    path: str
    reason: str


@dataclass(slots=True)
class Budget:
    """``now`` is a clock in seconds. A single file larger than ``file_bytes`` is looked at up to there."""

    now: Callable[[], float]
    seconds: float = 900.0
    octets: int = 4 << 30
    files: int = 500_000
    depth: int = 12
    file_bytes: int = 512 << 20
    ratio: int = 2000
    cuts: list[Cut] = field(default_factory=list)
    used_octets: int = 0
    used_files: int = 0
    ends: float = 0.0

    def __post_init__(self) -> None:
        self.ends = self.now() + self.seconds

    def take(self, octets: int) -> None:
        """Books octets that came out of a container."""
        self.used_octets += octets
        if self.used_octets > self.octets:
            raise Spent(f"more than {self.octets >> 20:,} MiB came out of it")
        if self.now() > self.ends:
            raise Spent(f"it took longer than {self.seconds:.0f} s")

    def count(self) -> None:
        """Books a file."""
        self.used_files += 1
        if self.used_files > self.files:
            raise Spent(f"it holds more than {self.files:,} files")

    def most(self, packed: int) -> int:
        """How many octets may come out of so many packed ones: a bomb gives a thousand for one and more."""
        return max(1 << 20, min(self.file_bytes, self.octets - self.used_octets, packed * self.ratio))

    def cut(self, path: str, reason: str) -> None:
        if len(self.cuts) < 1000:
            self.cuts.append(Cut(path[:500], reason[:300]))
