"""A repository of releases in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bastide.device.release.release import Release

LAMP_2 = Release("lamp", "2.0", "lamp/2.0/lamp.bin", 4096, "2" * 64, {"counter": 2, "hardware": ["rev-b"]})


@dataclass(slots=True)
class MemoryReleases:
    """Implements ports.platform.rollouts.Releases: ``held`` is published."""

    held: list[Release] = field(default_factory=lambda: [LAMP_2])

    def published(self) -> Sequence[Release]:
        return tuple(self.held)
