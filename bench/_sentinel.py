"""IoT SENTINEL (Miettinen et al., ICDCS 2017): its folders as types, and what our parser reads in its captures.

The table is fixed: 31 folders, 27 types. Four types are there with two units each; everything else is a type of its own,
also where makers sell one board under several names.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bastide.adapters.capture.files import CaptureFile, open_capture
from bastide.adapters.oui.table import offline_vendors
from bastide.flows.scan_captures import scan_captures
from bastide.network.traffic.devices import devices_of
from bastide.network.traffic.identity.observation import Observation, observations_of
from bastide.network.traffic.kernel.tables import new_tables
from bastide.network.traffic.survey import Survey

FOLDER = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "captures" / "iot-sentinel"

SECOND_UNITS = {
    "EdimaxCam1": "EdimaxCam",
    "EdimaxCam2": "EdimaxCam",
    "EdnetCam1": "EdnetCam",
    "EdnetCam2": "EdnetCam",
    "WeMoInsightSwitch2": "WeMoInsightSwitch",
    "WeMoSwitch2": "WeMoSwitch",
}


@dataclass(frozen=True, slots=True)
class Setup:
    """One capture of one device joining a network. ``number`` is the set-up's, the same over all devices."""

    type: str
    number: int
    capture: str
    seen: Observation


def folder() -> Path:
    """Where the captures are: BASTIDE_SENTINEL, or beside the project."""
    return Path(os.environ.get("BASTIDE_SENTINEL", str(FOLDER))).resolve()


def setups(progress: Callable[[str], None] = lambda _: None) -> list[Setup]:
    """All of them, in the order of folder and set-up."""
    vendor = offline_vendors()
    found: list[Setup] = []
    for place in sorted(folder().iterdir()):
        address = place / "_iotdevice-mac.txt"
        if not address.is_file():
            continue
        progress(place.name)
        mac = address.read_text().strip().lower()
        for path in sorted(place.glob("*.pcap"), key=lambda one: _number(one.name)):
            survey = Survey(tables=new_tables(flow_bits=13, device_bits=10, pair_bits=13, seen_bits=14))
            with CaptureFile(path.name, open_capture(path)) as capture:
                scan_captures([capture], survey)
            devices = devices_of(survey, vendor)
            for device, seen in zip(devices, observations_of(survey, devices), strict=True):
                if device.mac == mac:
                    kind = SECOND_UNITS.get(place.name, place.name)
                    found.append(Setup(kind, _number(path.name), f"{place.name}/{path.name}", seen))
    return found


def _number(name: str) -> int:
    return int(name.split("-")[2])
