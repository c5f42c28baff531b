"""What was seen of one device: what it said of itself, what it asked for and offered, who made its network chip."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bastide.network.traffic.devices import SeenDevice
from bastide.network.traffic.kernel.tables import CLIENT_SHIFT, D_HIGH, D_KIND, D_LOW, F_DEVICES, F_KEY, F_STATE
from bastide.network.traffic.survey import Key, Survey

MAX_SAID = 2048
"""Different facts of one device that are looked at; a survey keeps fewer."""

EPHEMERAL = 32768
"""Ports from here on are mostly a client's own choice and tell nothing."""

_TRANSPORTS = {6: "tcp", 17: "udp"}


@dataclass(frozen=True, slots=True)
class Observation:
    """``said`` are (word, value) pairs of the dissectors; ``asks`` and ``serves`` are (transport, port).

    ``mac`` is used to take the device's own address out of its words, for the maker's part of it and for the block of 65,536
    addresses that it is from; nothing else of it goes into a token.
    """

    mac: str | None = None
    vendor: str | None = None
    randomised: bool = False
    said: frozenset[tuple[str, str]] = frozenset()
    asks: frozenset[tuple[str, int]] = frozenset()
    serves: frozenset[tuple[str, int]] = frozenset()
    protocols: frozenset[str] = frozenset()


def observations_of(survey: Survey, devices: Sequence[SeenDevice]) -> tuple[Observation, ...]:
    """One observation for each device, in their order."""
    asked = _asked(survey)
    return tuple(
        Observation(
            mac=device.mac,
            vendor=device.vendor,
            randomised=device.randomised,
            said=frozenset([(fact.word, fact.value) for fact in device.facts][:MAX_SAID]),
            asks=frozenset(asked.get(device.key, ())),
            serves=frozenset((service.transport, service.port) for service in device.services),
            protocols=frozenset(device.protocols),
        )
        for device in devices
    )


def _asked(survey: Survey) -> dict[Key, set[tuple[str, int]]]:
    """The ports that each device spoke to first, from the flows that the survey still holds."""
    tables = survey.tables
    rows = tables.flows[np.flatnonzero(tables.flow_tags)][:, [F_KEY, F_STATE, F_DEVICES]].tolist()
    asked: dict[Key, set[tuple[str, int]]] = defaultdict(set)
    for key, state, packed in rows:
        transport = _TRANSPORTS.get((key >> 20) & 0xFF)
        client = (state >> CLIENT_SHIFT) & 3
        if transport is None or client == 0:
            continue
        ports = ((key >> 44) & 0xFFFF, (key >> 28) & 0xFFFF)
        device = ((packed & 0xFFFFFFFF) if client == 1 else packed >> 32) - 1
        port = ports[1] if client == 1 else ports[0]
        if device < 0 or port >= EPHEMERAL or (transport == "udp" and ports[0] == ports[1] and port > 10000):
            continue
        row = tables.devices[device]
        asked[Key(int(row[D_KIND]), int(row[D_HIGH]), int(row[D_LOW]))].add((transport, port))
    return asked
