"""Labels: which type the device with a MAC address in a capture is. CSV with the columns ``capture,mac,label``.

Other columns are passed over. A capture is named by its path, or by as much of the end of its path as tells it from others.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bastide.core.error import Unreadable

MAX_ROWS = 100_000
COLUMNS = ("capture", "mac", "label")

_MAC = re.compile(r"[0-9a-f]{12}")


class BadLabels(Unreadable):
    """The labels are not the CSV that they should be."""

    code = "fingerprints:labels:malformed"


@dataclass(frozen=True, slots=True)
class Label:
    capture: str
    mac: str
    label: str


def parse_labels(text: str) -> tuple[Label, ...]:
    """The rows of a CSV. ``BadLabels`` names the row that cannot be read."""
    rows = csv.DictReader(text.removeprefix("\ufeff").splitlines(), strict=True)
    try:
        named = {name.strip().lower(): name for name in rows.fieldnames or () if name}
        missing = [name for name in COLUMNS if name not in named]
        if missing:
            raise BadLabels(
                f"The labels have no column {' and no column '.join(missing)}; the first line must be capture,mac,label."
            )
        found = []
        for number, row in enumerate(rows, start=2):
            if number > MAX_ROWS + 1:
                raise BadLabels(f"The labels have more than {MAX_ROWS} rows; take fewer.")
            found.append(_label([(row.get(named[name]) or "").strip() for name in COLUMNS], number))
    except csv.Error as error:
        raise BadLabels(f"The labels are not CSV: {error}.") from error
    if not found:
        raise BadLabels("The labels have no row after the first line; each names a capture, a MAC address and a type.")
    told: dict[tuple[str, str], str] = {}
    for one in found:
        if told.setdefault((one.capture, one.mac), one.label) != one.label:
            raise BadLabels(
                f"{one.mac} in {one.capture} is labelled both {told[one.capture, one.mac]} and {one.label}."
            )
    return tuple(found)


def _label(cells: Sequence[str], number: int) -> Label:
    capture, mac, label = cells
    if not capture or not label:
        raise BadLabels(f"Row {number} of the labels lacks {'a capture' if not capture else 'a label'}.")
    packed = re.sub(r"[:.\-\s]", "", mac.lower())
    if not _MAC.fullmatch(packed):
        raise BadLabels(
            f"Row {number} of the labels: {mac[:40]!r} is not a MAC address; write it as aa:bb:cc:dd:ee:ff."
        )
    return Label(capture, ":".join(packed[at : at + 2] for at in range(0, 12, 2)), label)


def names(capture: str, path: str) -> bool:
    """True where a label's capture names the file at ``path``: the whole path or the end of it, by folders."""
    wanted = [part for part in capture.replace("\\", "/").split("/") if part not in ("", ".")]
    there = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    return bool(wanted) and there[-len(wanted) :] == wanted
