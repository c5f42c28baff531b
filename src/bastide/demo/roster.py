"""Who is in the demo fleet: the same devices each time, a fifth of each kind."""

from dataclasses import dataclass
from importlib import resources

from bastide.core.ids import OwnerName, SiteName
from bastide.testing.fleet.behaviour import KINDS

FIRMWARE = {
    "door-camera": "cam-fw 3.2.1",
    "thermostat": "roomstat 1.9.0",
    "energy-meter": "plugd 2.4.7",
    "vibration-sensor": "vibe 0.12.3",
    "gate-controller": "gatectl 5.0.2",
}
OWNERS = {
    "door-camera": "site-security",
    "thermostat": "facilities",
    "energy-meter": "facilities",
    "vibration-sensor": "production",
    "gate-controller": "site-security",
}
SITES = ("lyon", "bordeaux", "toulouse")


@dataclass(frozen=True, slots=True)
class Member:
    """``name`` is also its folder and its host name; ``seed`` makes it behave like itself each time."""

    name: str
    kind: str
    seed: int

    @property
    def owner(self) -> OwnerName:
        return OwnerName(OWNERS[self.kind])

    @property
    def site(self) -> SiteName:
        return SiteName(SITES[self.seed // len(KINDS) % len(SITES)])

    @property
    def mac(self) -> bytes:
        """An address of the block for documentation (RFC 7042, section 2.1.2), the same each time."""
        return bytes.fromhex("00005e0053") + bytes([self.seed % 0xF0])


def roster(count: int) -> list[Member]:
    """The first ``count`` devices, the kinds in turn."""
    kinds = list(KINDS)
    return [Member(f"{kinds[n % len(kinds)]}-{n // len(kinds) + 1}", kinds[n % len(kinds)], n) for n in range(count)]


def profile_document(kind: str) -> str:
    """The profile of a kind as its maker wrote it (TOML)."""
    return resources.files("bastide.demo").joinpath("profiles", f"{kind}.toml").read_text(encoding="utf-8")
