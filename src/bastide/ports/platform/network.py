"""What the network of a site looks like, what each profile may reach there, whether that is enforced, and what people ruled
about single flows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bastide.core.device import Device
from bastide.core.ids import DeviceId, ProfileName, SiteName
from bastide.core.mode import Setting
from bastide.core.proposal import Proposal
from bastide.core.ruling import Ruling


@dataclass(frozen=True, slots=True)
class SiteNetwork:
    """``frame`` is what all gateways of a site share, as :class:`bastide.wire.gateway.FrameForm` in JSON."""

    site: SiteName
    frame: bytes
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True, slots=True)
class Reach:
    """The network part of a profile: a MUD file (RFC 8520), as it is handed to gateways."""

    profile: ProfileName
    document: bytes
    changed_at: datetime
    changed_by: str


class NetworkWrites(Protocol):
    def put_site(self, site: SiteNetwork) -> None: ...

    def put_reach(self, reach: Reach) -> None: ...

    def put_ruling(self, ruling: Ruling) -> None:
        """Keeps a ruling; one of the same id is replaced."""
        ...

    def put_mode(self, setting: Setting) -> None:
        """Sets a mode; the one of the same device, profile or zone is replaced."""
        ...

    def put_proposal(self, proposal: Proposal) -> None:
        """Keeps a proposal; one of the same id is replaced."""
        ...


class NetworkReads(Protocol):
    async def site(self, site: SiteName) -> SiteNetwork | None: ...

    async def sites(self) -> Sequence[SiteNetwork]:
        """By name."""
        ...

    async def reach(self, profile: ProfileName) -> Reach | None: ...

    async def reaches(self) -> Sequence[Reach]:
        """By the profile's name."""
        ...

    async def rulings(self, now: datetime, device: DeviceId | None = None, limit: int = 1000) -> Sequence[Ruling]:
        """Those that hold at that moment, the newest first."""
        ...

    async def allowances(self, now: datetime, device: DeviceId | None = None, limit: int = 10_000) -> Sequence[Ruling]:
        """Those that let something through until later than now, the newest first; also those that were taken back, since a
        gateway may not know it yet."""
        ...

    async def modes(self, device: Device | None = None) -> Sequence[Setting]:
        """Those that are set, by what they are set for and name; with a device only those that concern it."""
        ...

    async def proposals(self, profile: ProfileName | None = None, limit: int = 200) -> Sequence[Proposal]:
        """The newest first."""
        ...

    async def proposal(self, id: str) -> Proposal | None: ...
