"""Profile: what a kind of device is expected to do. The application part; the network part (RFC 8520) joins it later.

Topics are written once for the kind, with ``{device}`` where each device's id stands.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from bastide.core.ids import DeviceClass, DeviceId, ProfileName


class Direction(StrEnum):
    """Seen from the device."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"


class FieldType(StrEnum):
    NUMBER = "number"
    INTEGER = "integer"
    TEXT = "text"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True)
class PayloadField:
    """One declared field of a payload, and the purpose it is collected for. Numbers may have bounds."""

    name: str
    type: FieldType
    purpose: str
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    max_length: int = 256


@dataclass(frozen=True, slots=True)
class Channel:
    """One topic: ``essential`` ones stay open while the device is restricted."""

    topic: str
    direction: Direction
    purpose: str
    fields: tuple[PayloadField, ...] = ()
    essential: bool = False

    def for_device(self, device: DeviceId) -> str:
        return self.topic.replace("{device}", device)


@dataclass(frozen=True, slots=True)
class Profile:
    """``rate_per_second`` is the sustained message rate of one device, ``burst`` what it may send at once."""

    name: ProfileName
    device_class: DeviceClass
    title: str
    channels: tuple[Channel, ...] = ()
    rate_per_second: float = 1.0
    burst: int = 20
    max_payload_bytes: int = 4096
    impact: float = 0.5
    expected_silence: timedelta = timedelta(minutes=15)
