"""What devices say when they ask for updates, and what they are answered."""

from bastide.core.error import Unreadable
from bastide.device.release.report import (
    Attempt,
    Report,
    Told,
    Update,
    read_report,
    read_told,
    report_octets,
    told_octets,
)
from tests.fuzz import Target

_ROLLOUT = "u-" + "a" * 20
_REPORT = Report("rev-b", "1.0", 1, 1 << 20, "0" * 64, True, {"loader": "1.2"}, Attempt(_ROLLOUT, "it went back"))
_TOLD = Told(Update(_ROLLOUT, "lamp", "2.0", "lamp/2.0/x.bin", 4096, "1" * 64), "", 60)


def _report(data: bytes) -> None:
    """What is read is written as it was read."""
    read = read_report(data)
    assert read_report(report_octets(read)) == read


def _told(data: bytes) -> None:
    read = read_told(data)
    assert read_told(told_octets(read)) == read


TARGETS = [
    Target("update-report", _report, (report_octets(_REPORT),), (Unreadable,)),
    Target("update-answer", _told, (told_octets(_TOLD),), (Unreadable,)),
]
