"""Makers' files in memory: what is put there is served, everything else does not answer."""

from dataclasses import dataclass, field

from bastide.core.error import Refused, Unavailable
from bastide.ports.platform.mud import Fetched


@dataclass
class MemoryMUDFiles:
    """Implements ports.platform.mud.MUDFiles. ``served`` by URL; ``asked`` is every URL that was fetched."""

    served: dict[str, Fetched] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def fetch(self, url: str) -> Fetched:
        """See ports."""
        if not url.startswith("https://"):
            raise Refused(f"{url!r} is not fetched: a MUD URL is https.", code="mud:fetch:url")
        self.asked.append(url)
        if url not in self.served:
            raise Unavailable(f"{url} does not answer.", code="mud:fetch:broken")
        return self.served[url]
