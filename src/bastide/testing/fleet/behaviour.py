"""What five kinds of device measure through a day. Values in, values out: time and randomness are handed in.

The curves are plausible, not calibrated: rooms lag behind their set-point, appliances follow the hours of the people who
use them, a machine wears while its shift runs. Fields and bounds are those of the profiles in ``bastide/demo/profiles``;
a test keeps each message inside its profile.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Protocol

Value = float | int | str | bool
HOURS = 3600.0


@dataclass(frozen=True, slots=True)
class Message:
    """One payload for one channel of the device, as flat fields."""

    channel: str
    fields: dict[str, Value]


class Behaviour(Protocol):
    """What one device does. ``every`` is the virtual time between reports."""

    @property
    def every(self) -> timedelta: ...

    def report(self, at: datetime) -> Sequence[Message]:
        """What it sends at a virtual time; times must not go back."""
        ...


def _hour(at: datetime) -> float:
    """0 up to 24."""
    return at.hour + at.minute / 60 + at.second / HOURS


def _daylight(at: datetime) -> float:
    """0 at night, 1 at one in the afternoon."""
    return max(0.0, math.sin(math.pi * (_hour(at) - 6.5) / 13)) if 6.5 <= _hour(at) <= 19.5 else 0.0


def _busy(at: datetime) -> float:
    """How many people are about, 0 to 1: two peaks on working days, one late and low at weekends."""
    hour = _hour(at)
    if at.weekday() >= 5:
        return 0.35 * math.exp(-(((hour - 14) / 4) ** 2))
    return min(1.0, math.exp(-(((hour - 8.5) / 1.6) ** 2)) + 0.8 * math.exp(-(((hour - 17.2) / 1.8) ** 2)) + 0.15)


class Thermostat:
    """The room follows heating and weather with a lag; people lower the set-point at night."""

    every = timedelta(minutes=6)

    def __init__(self, random: Random) -> None:
        self._random = random
        self._comfort = random.uniform(19.5, 21.5)
        self._room = self._comfort - random.uniform(0.5, 2)
        self._leak = random.uniform(0.03, 0.06)
        self._at: datetime | None = None
        self._heating = False

    def report(self, at: datetime) -> Sequence[Message]:
        hours = (at - self._at).total_seconds() / HOURS if self._at else 0.0
        self._at = at
        setpoint = self._comfort if 6 <= _hour(at) < 22 else self._comfort - 3.5
        outside = 4 + 6 * _daylight(at)
        if self._room < setpoint - 0.3:
            self._heating = True
        elif self._room > setpoint + 0.3:
            self._heating = False
        step = min(hours, 1.0)
        self._room += step * ((3.2 if self._heating else 0.0) - self._leak * (self._room - outside) + 0.6 * _busy(at))
        humidity = 46 - 1.2 * (self._room - 20) + 5 * _busy(at) + self._random.gauss(0, 0.6)
        fields: dict[str, Value] = {
            "temperature": round(self._room + self._random.gauss(0, 0.06), 2),
            "setpoint": round(setpoint, 1),
            "humidity": round(min(95.0, max(15.0, humidity)), 1),
            "heating": self._heating,
        }
        return [Message("telemetry", fields)]


class EnergyMeter:
    """A kettle, a fridge or a screen: a base load, cycles, and use when people are about."""

    every = timedelta(minutes=5)

    def __init__(self, random: Random) -> None:
        self._random = random
        self._base = random.uniform(2, 12)
        self._use = random.choice((90.0, 450.0, 1800.0))
        self._energy = random.uniform(20, 900)
        self._at: datetime | None = None
        self._left = 0.0

    def report(self, at: datetime) -> Sequence[Message]:
        minutes = (at - self._at).total_seconds() / 60 if self._at else 0.0
        self._at = at
        self._left = max(0.0, self._left - minutes)
        if not self._left and self._random.random() < 0.25 * _busy(at):
            self._left = self._random.uniform(5, 60 if self._use < 1000 else 9)
        in_use = self._use * self._random.uniform(0.92, 1.04) if self._left else 0.0
        power = self._base * self._random.uniform(0.9, 1.1) + in_use
        voltage = 231 - 3.5 * _busy(at) + self._random.gauss(0, 0.5)
        self._energy += power * min(minutes, 60) / 60 / 1000
        fields: dict[str, Value] = {
            "power": round(power, 1),
            "voltage": round(voltage, 1),
            "current": round(power / voltage, 3),
            "energy": round(self._energy, 4),
            "relay": True,
        }
        return [Message("telemetry", fields)]


class DoorCamera:
    """More bits by day and when something moves; tells that something moved, never who."""

    every = timedelta(minutes=6)

    def __init__(self, random: Random) -> None:
        self._random = random
        self._free = random.uniform(35, 90)

    def report(self, at: datetime) -> Sequence[Message]:
        moves = self._random.random() < 0.35 * _busy(at)
        bitrate = 900 + 2100 * _daylight(at) + (1600 if moves else 0) + self._random.gauss(0, 90)
        self._free = self._free - 0.05 if self._free > 8 else 90.0  # the oldest recordings are dropped
        fields: dict[str, Value] = {
            "bitrate": round(max(120.0, bitrate), 0),
            "frames": round(25 + self._random.gauss(0, 0.3), 1),
            "temperature": round(31 + 9 * _daylight(at) + self._random.gauss(0, 0.4), 1),
            "storage_free": round(self._free, 1),
        }
        messages = [Message("telemetry", fields)]
        if moves:
            motion: dict[str, Value] = {"what": "motion", "confidence": round(self._random.uniform(0.55, 0.99), 2)}
            messages.append(Message("event", motion))
        return messages


class VibrationSensor:
    """A pump that runs in two shifts; its bearing wears slowly, and a limit passed is told once."""

    every = timedelta(minutes=4)
    limit_mm_s = 4.5  # ISO 10816-3, zone B to C for a machine of this size

    def __init__(self, random: Random) -> None:
        self._random = random
        self._wear = random.uniform(0.0, 0.5)
        self._told = False
        self._heat = 24.0

    def report(self, at: datetime) -> Sequence[Message]:
        runs = 6 <= _hour(at) < 22 and at.weekday() < 6
        self._wear += 0.0006 if runs else 0.0
        speed = 24.7 + self._random.gauss(0, 0.05)
        velocity = (
            (1.6 + 2.4 * self._wear + abs(self._random.gauss(0, 0.18))) if runs else self._random.uniform(0, 0.08)
        )
        self._heat += 0.12 * ((52 + 10 * self._wear if runs else 22) - self._heat)
        fields: dict[str, Value] = {
            "velocity_rms": round(velocity, 3),
            "acceleration_peak": round((0.9 + 2.5 * self._wear if runs else 0.02) * self._random.uniform(0.9, 1.2), 3),
            "frequency": round(speed * (3.57 if self._wear > 0.9 else 1), 2) if runs else 0.0,
            "temperature": round(self._heat + self._random.gauss(0, 0.2), 1),
        }
        messages = [Message("telemetry", fields)]
        if velocity > self.limit_mm_s and not self._told:
            self._told = True
            event: dict[str, Value] = {"what": "velocity-limit", "value": round(velocity, 3)}
            messages.append(Message("event", event))
        return messages


class GateController:
    """Opens for those who come and go; the motor draws what a heavy gate draws."""

    every = timedelta(minutes=5)

    def __init__(self, random: Random) -> None:
        self._random = random
        self._cycles = random.randrange(200, 4000)
        self._open = False

    def report(self, at: datetime) -> Sequence[Message]:
        was_open = self._open
        self._open = self._random.random() < 0.75 * _busy(at) and not was_open
        moving = self._open != was_open
        self._cycles += self._open
        current = self._random.uniform(3.4, 5.2) if moving else self._random.uniform(0.02, 0.06)
        fields: dict[str, Value] = {
            "position": 100.0 if self._open else 0.0,
            "motor_current": round(current, 2),
            "cycles": self._cycles,
        }
        messages = [Message("telemetry", fields)]
        if moving:
            messages.append(Message("event", {"what": "opened" if self._open else "closed"}))
        return messages


KINDS: dict[str, Callable[[Random], Behaviour]] = {
    "door-camera": DoorCamera,
    "thermostat": Thermostat,
    "energy-meter": EnergyMeter,
    "vibration-sensor": VibrationSensor,
    "gate-controller": GateController,
}
"""The behaviour of each device class of the demo fleet."""
