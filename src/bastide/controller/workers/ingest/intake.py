"""Which messages of which device come in now. All state is here; sockets, files and clocks are not.

- A device without a plan, or whose plan does not grant the channel any more, says nothing: its message is dropped and not
  acknowledged. That is a last will, or what was on its way when its standing fell.
- What can never come in (malformed, oversized, undeclared channel) is acknowledged, so that it is not sent for ever; it is
  dropped and counted. Undeclared fields are cut off and counted.
- QoS 1 and 2 above the declared rate waits, not acknowledged, until the rate allows it; too much of it, and QoS 0, is
  dropped. So what is acknowledged was kept, and a device that sends too much is slowed down and counted.
- After a crash the journal's last batches may hold messages that the device never got an acknowledgement for, and sends
  again. Those are recognised once and kept once (see :meth:`Intake.expect_again`).
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from bastide.core.ids import DeviceId
from bastide.network.broker.admission import Admission, Bucket, Fault, Rejected, Value
from bastide.network.broker.topics import channel_of
from bastide.wire.desired import Desired

# What a client may have in flight without a PUBACK is rarely more (MQTT libraries use 10 to 100).
MAX_HELD = 256
# Reasons that are told with a count: the first of each second is enough.
MAX_DETAIL = 200
MAX_COUNTED = 65_536
# Longer than it takes a client to see that the broker or the worker died, and to send again.
AGAIN_SECONDS = 30.0

Taken = tuple[str, str, bytes, bytes]  # device, channel, payload, token
Entry = tuple[str, str, int, Mapping[str, Value]]  # device, channel, microseconds, declared fields


@dataclass(slots=True)
class Counted:
    """How often one device had one fault since the last report, and what the first looked like."""

    count: int
    detail: str
    channel: str


@dataclass(slots=True)
class Totals:
    """Since the process started."""

    taken: int = 0
    stored: int = 0
    refused: int = 0
    dropped: int = 0
    again: int = 0


class _Device:
    __slots__ = ("admission", "bucket", "desired", "granted", "held", "prefix", "rate")

    def __init__(self, desired: Desired, admission: Admission, now: float) -> None:
        self.bucket: Bucket = admission.fresh_bucket(now)
        self.held: deque[tuple[Taken, int]] = deque()
        self.take(desired, admission)

    def take(self, desired: Desired, admission: Admission) -> None:
        plan = desired.plan
        self.desired = desired
        self.admission = admission
        self.rate = plan.broker.rate_per_second
        self.granted = frozenset(channel_of(topic, plan.device) for topic in plan.broker.publish)
        self.prefix = f"telemetry.{desired.device_class}.{plan.device}."


@dataclass(slots=True)
class Intake:
    """One per worker."""

    entries: list[Entry] = field(default_factory=list)
    tokens: list[bytes] = field(default_factory=list)
    refused: list[bytes] = field(default_factory=list)
    totals: Totals = field(default_factory=Totals)
    _devices: dict[str, _Device] = field(default_factory=dict)
    _admissions: dict[bytes, Admission] = field(default_factory=dict)
    _counted: dict[tuple[str, Fault], Counted] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)
    _holding: set[str] = field(default_factory=set)
    _again: Counter[bytes] = field(default_factory=Counter)
    _again_until: float = 0.0

    def plan_changed(self, desired: Desired, now: float) -> None:
        """A newer plan of a device, which holds from the next message on."""
        key = _profile_key(desired)
        admission = self._admissions.get(key)
        if admission is None:
            if len(self._admissions) > 4096:
                self._admissions.clear()
            admission = self._admissions[key] = Admission(desired.profile)
        device = self._devices.get(desired.plan.device)
        if device is None:
            self._devices[desired.plan.device] = _Device(desired, admission, now)
            return
        device.take(desired, admission)
        if not device.granted:
            self.totals.dropped += len(device.held)
            device.held.clear()
            self._holding.discard(desired.plan.device)

    def take(self, messages: Iterable[Taken], now: float) -> None:
        """Sorts messages into ``entries`` (with their ``tokens``) and ``refused``; ``now`` is seconds since 1970."""
        devices, seen = self._devices, self._seen
        at = int(now * 1_000_000)
        for message in messages:
            self.totals.taken += 1
            device = devices.get(message[0])
            if device is None or message[1] not in device.granted:
                self.totals.dropped += 1
                continue
            seen[message[0]] = at
            if device.held or not device.bucket.take(device.rate, device.admission.burst, now):
                self._hold(device, message, at)
            else:
                self._admit(device, message, at)

    def release(self, now: float) -> None:
        """Takes in what waited and is within the rate now."""
        for name in list(self._holding):
            device = self._devices[name]
            while device.held and device.bucket.take(device.rate, device.admission.burst, now):
                self._admit(device, *device.held.popleft())
            if not device.held:
                self._holding.discard(name)

    @property
    def holding(self) -> bool:
        return bool(self._holding)

    def forget_held(self) -> None:
        """The broker went away: what waited will be sent again."""
        for name in self._holding:
            self._devices[name].held.clear()
        self._holding.clear()

    def cut(self, limit: int) -> tuple[Sequence[Entry], Sequence[bytes]]:
        """The next batch: entries, and the tokens to acknowledge when it is durable."""
        entries, self.entries = self.entries[:limit], self.entries[limit:]
        tokens, self.tokens = self.tokens[:limit], self.tokens[limit:]
        return entries, tokens

    def expect_again(self, entries: Iterable[Entry], now: float) -> None:
        """These are in the journal, and perhaps the devices do not know it."""
        self._again.update(_same(entry) for entry in entries)
        self._again_until = now + AGAIN_SECONDS

    def report(self) -> tuple[Mapping[tuple[str, Fault], Counted], Mapping[str, int]]:
        """Faults by device and kind, and when each device was last heard (microseconds), since the last report."""
        counted, self._counted = self._counted, {}
        seen, self._seen = self._seen, {}
        return counted, seen

    def device_class(self, device: DeviceId) -> str:
        known = self._devices.get(device)
        return known.desired.device_class if known else ""

    def prefix(self, device: str) -> str:
        """Where the platform publishes a device's messages."""
        return self._devices[device].prefix

    def _admit(self, device: _Device, message: Taken, at: int) -> None:
        name, channel, payload, token = message
        verdict = device.admission.admit(channel, payload)
        if isinstance(verdict, Rejected):
            self._count(name, verdict.fault, channel, verdict.detail)
            self._refuse(token)
            return
        if verdict.undeclared:
            self._count(name, Fault.FIELD, channel, f"{verdict.undeclared} is not declared")
        entry: Entry = (name, channel, at, verdict.fields)
        if self._again and self._known(entry, at / 1_000_000):
            self.totals.again += 1
            if token:
                self.refused.append(token)
            return
        self.totals.stored += 1
        self.entries.append(entry)
        self.tokens.append(token)

    def _hold(self, device: _Device, message: Taken, at: int) -> None:
        name, channel, _, token = message
        self._count(name, Fault.RATE, channel, f"more than {device.rate:g} a second")
        if token and len(device.held) < MAX_HELD:
            device.held.append((message, at))
            self._holding.add(name)
        else:
            self.totals.dropped += 1

    def _refuse(self, token: bytes) -> None:
        self.totals.refused += 1
        if token:
            self.refused.append(token)

    def _count(self, device: str, fault: Fault, channel: str, detail: str) -> None:
        counted = self._counted.get((device, fault))
        if counted is not None:
            counted.count += 1
        elif len(self._counted) < MAX_COUNTED:
            self._counted[(device, fault)] = Counted(1, detail[:MAX_DETAIL], channel[:MAX_DETAIL])

    def _known(self, entry: Entry, now: float) -> bool:
        if now > self._again_until:
            self._again.clear()
            return False
        key = _same(entry)
        if self._again[key] <= 0:
            return False
        self._again[key] -= 1
        return True


_encoder = msgspec.msgpack.Encoder(order="deterministic")


def _same(entry: Entry) -> bytes:
    """What makes two messages the same, whenever they came."""
    return _encoder.encode((entry[0], entry[1], entry[3]))


def _profile_key(desired: Desired) -> bytes:
    return _encoder.encode(desired.profile)
