"""Fingerprint bases and labels: both come from other people."""

import json

from bastide.network.traffic.identity.base import FORMAT, VERSION, decode
from bastide.network.traffic.identity.facets import FACETS
from bastide.network.traffic.identity.labels import parse_labels
from tests.fuzz import Target

_BASE = {
    "format": FORMAT,
    "version": VERSION,
    "note": "",
    "cut_off": 0.5,
    "calibration": [[0.1, 0.2], [0.9, 0.95]],
    "siblings": [],
    "weights": {"facets": {name: [1, 1, 1, 1] for name in FACETS}, "mass": [1, 2], "bias": -1},
    "types": {"plug": [{"samples": 2, "tokens": {"model=p": 2, "oui=00:11:22": 2}}]},
}

TARGETS = [
    Target("fingerprint-base", decode, (json.dumps(_BASE).encode(),)),
    Target(
        "fingerprint-labels",
        lambda data: parse_labels(data.decode(errors="replace")),
        (b"capture,mac,label\na.pcap,aa:bb:cc:00:11:22,plug\n",),
    ),
]
