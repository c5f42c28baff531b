"""Device: one physical thing. Its identity is a key, not a MAC address; every attribute carries where it is from."""

from dataclasses import dataclass, field
from datetime import datetime

from bastide.core.ids import DeviceClass, DeviceId, OwnerName, ProfileName, SiteName, ZoneName
from bastide.core.standing import Stage, Standing


@dataclass(frozen=True, slots=True)
class Attribute:
    """One thing known of a device: ``confidence`` is 0 to 1, ``source`` names who said it."""

    name: str
    value: str
    source: str
    confidence: float
    observed_at: datetime


@dataclass(frozen=True, slots=True)
class Device:
    """What the platform holds of one device. ``generation`` counts the plans made for it, from 1; 0 is none yet.

    ``version`` counts the times that the row was written: a writer that read an older one is refused (Conflict).
    ``reconsider_at`` is when a decision must be made again although no new evidence came (freshness or a hold ends).
    """

    id: DeviceId
    device_class: DeviceClass
    owner: OwnerName
    site: SiteName
    zone: ZoneName
    profile: ProfileName
    standing: Standing
    stage: Stage
    created_at: datetime
    name: str = ""
    generation: int = 0
    version: int = 0
    decided_at: datetime | None = None
    reconsider_at: datetime | None = None
    last_seen: datetime | None = None
    attributes: tuple[Attribute, ...] = field(default=())

    def attribute(self, name: str) -> Attribute | None:
        """The attribute of that name which is most sure; None where nothing said it."""
        named = [attribute for attribute in self.attributes if attribute.name == name]
        return max(named, key=lambda attribute: attribute.confidence, default=None)
