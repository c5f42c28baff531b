"""Plan: what each enforcement point must hold for one device. It leaves no choice to whoever carries it out.

A plan has a generation; a point that holds a newer one refuses it. A point is added by giving it a part here and an
enforcer behind ``ports.network``.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from bastide.core.ids import DeviceId
from bastide.core.standing import Standing


class Point(StrEnum):
    """Where a plan takes hold."""

    BROKER = "broker"
    CREDENTIAL = "credential"
    UPDATE = "update"
    NETWORK = "network"


@dataclass(frozen=True, slots=True)
class BrokerGrant:
    """What a connection of the device may do. Topics are MQTT filters with the device's id filled in.

    ``rate_per_second`` is messages, sustained; ``max_payload_bytes`` of one message. No topic at all means: refuse the
    connection.
    """

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    rate_per_second: float = 0.0
    max_payload_bytes: int = 0

    @property
    def may_connect(self) -> bool:
        return bool(self.publish or self.subscribe)


class CredentialState(StrEnum):
    """``valid`` may be renewed; ``suspended`` may not, and can come back; ``revoked`` never comes back."""

    VALID = "valid"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


class UpdateEligibility(StrEnum):
    """``normal``: by the rollout's order. ``repair``: only releases that repair. ``none``: nothing is offered."""

    NORMAL = "normal"
    REPAIR = "repair"
    NONE = "none"


class Circle(StrEnum):
    """Whom the device may reach on the network: what its ``profile`` says, or what its zone leaves it.

    ``onboarding``: only what it takes to be enrolled. ``quarantine``: only the hosts that repair. ``guest``: the internet,
    nothing local. ``maintenance``: only what exceptions name, each with an end. ``nothing``: nobody.
    """

    PROFILE = "profile"
    ONBOARDING = "onboarding"
    QUARANTINE = "quarantine"
    GUEST = "guest"
    MAINTENANCE = "maintenance"
    NOTHING = "nothing"


class NetworkMode(StrEnum):
    """``observe``: what a profile denies is logged and let through. ``enforce``: it is dropped."""

    OBSERVE = "observe"
    ENFORCE = "enforce"


@dataclass(frozen=True, slots=True)
class NetworkGrant:
    """What the device's gateway must hold."""

    circle: Circle = Circle.NOTHING
    mode: NetworkMode = NetworkMode.ENFORCE


@dataclass(frozen=True, slots=True)
class Plan:
    """Immutable; the ledger holds each one that was intended."""

    device: DeviceId
    generation: int
    standing: Standing
    broker: BrokerGrant
    credential: CredentialState
    update: UpdateEligibility
    made_at: datetime
    network: NetworkGrant = NetworkGrant()

    def same_effect(self, other: "Plan | None") -> bool:
        """True where the other asks every point for the same, whenever it was made."""
        return other is not None and replace(other, generation=self.generation, made_at=self.made_at) == self


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one point holds after a plan was handed to it, as measured there. ``error`` is empty where it took hold."""

    device: DeviceId
    point: Point
    generation: int
    applied_at: datetime
    holds: str
    error: str = ""
