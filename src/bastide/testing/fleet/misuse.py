"""What a device does that was taken over: values again, so that tests and the demo do the same."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from bastide.core.ids import DeviceId
from bastide.testing.fleet.behaviour import Value


@dataclass(frozen=True, slots=True)
class Publish:
    """``why`` says for people what this is."""

    topic: str
    fields: dict[str, Value]
    why: str


@dataclass(frozen=True, slots=True)
class Subscribe:
    topic: str
    why: str


def spying(own: DeviceId, others: Sequence[DeviceId]) -> Iterator[Subscribe]:
    """Asks to hear what is not meant for it, from the narrow to the greedy."""
    for other in others:
        yield Subscribe(f"devices/{other}/telemetry", "listens to another device")
    yield Subscribe("devices/#", "listens to every device")
    yield Subscribe("#", "listens to everything")


def impersonating(own: DeviceId, others: Sequence[DeviceId], random: Random) -> Iterator[Publish]:
    """Speaks in another device's name."""
    for other in others:
        fields: dict[str, Value] = {"temperature": round(random.uniform(45, 80), 1)}
        yield Publish(f"devices/{other}/telemetry", fields, "speaks for another device")


def undeclared(own: DeviceId, random: Random, count: int = 3) -> Iterator[Publish]:
    """Sends what its profile does not declare: data going out by a side door."""
    for _ in range(count):
        fields: dict[str, Value] = {"temperature": 20.5, "wifi_password": f"{random.getrandbits(48):012x}"}
        yield Publish(f"devices/{own}/telemetry", fields, "sends a field that its profile does not declare")


def flooding(own: DeviceId, random: Random, count: int = 300) -> Iterator[Publish]:
    """Far more than its profile's rate."""
    for _ in range(count):
        yield Publish(f"devices/{own}/telemetry", {"temperature": round(random.gauss(20, 5), 2)}, "floods")
