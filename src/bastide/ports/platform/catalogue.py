"""Which device classes there are, and the profile that each uses."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bastide.core.ids import DeviceClass, OwnerName, ProfileName, SiteName
from bastide.core.profile import Profile


@dataclass(frozen=True, slots=True)
class ClassEntry:
    """A device class: its profile, who answers for it, where its devices stand unless a claim says otherwise.

    ``impact`` (0 to 1) is what a compromise of one such device costs.
    """

    name: DeviceClass
    profile: ProfileName
    owner: OwnerName
    site: SiteName
    impact: float
    registered_at: datetime


class CatalogueWrites(Protocol):
    def put_profile(self, profile: Profile, document: str, at: datetime) -> None: ...

    def put_class(self, entry: ClassEntry) -> None: ...


class CatalogueReads(Protocol):
    async def profile(self, name: ProfileName) -> Profile:
        """``NotFound`` where there is none."""
        ...

    async def document(self, name: ProfileName) -> str: ...

    async def profiles(self) -> Sequence[Profile]: ...

    async def device_class(self, name: DeviceClass) -> ClassEntry:
        """``NotFound`` where there is none."""
        ...

    async def classes(self) -> Sequence[ClassEntry]: ...
