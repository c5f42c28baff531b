"""The inventory as a table that people keep elsewhere: CSV and JSON, out and in, the same columns both ways.

On the way out a cell that a spreadsheet would run as a formula gets an apostrophe before it (what devices say of themselves
is not ours); on the way in it is taken off again.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bastide.core.device import Device
from bastide.core.error import Unreadable
from bastide.core.ids import is_device_id, is_name
from bastide.operations.inventory.attributes import DESCRIBED, best
from bastide.operations.inventory.sighting import is_local

COLUMNS: Final = (
    "id", "mac", "name", "class", "owner", "site", "zone", "standing", "stage", "type", "vendor", "model", "firmware", "serial",
    "location", "maintenance-window", "support-ends", "notes", "addresses", "services", "first-seen", "last-seen",
)  # fmt: skip

MAX_ROWS = 10_000
MAX_CELL = 500

_STATED = ("owner", "site", "zone", "name")
_RUN = ("=", "+", "-", "@", "\t", "\r")


class BadSheet(Unreadable):
    """What should be an inventory cannot be read as one."""

    code = "inventory:sheet:malformed"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row that a person states. ``id`` or ``mac`` says which device; ``facts`` are its attributes, empty ones left out."""

    id: str
    mac: str
    name: str
    owner: str
    site: str
    zone: str
    facts: Mapping[str, str]


def row(device: Device, now: datetime) -> dict[str, str]:
    """One device as a row."""
    found = {name: _first(device, name, now) for name in ("mac", *DESCRIBED)}
    return {
        "id": device.id,
        "name": device.name,
        "class": device.device_class,
        "owner": device.owner,
        "site": device.site,
        "zone": device.zone,
        "standing": device.standing.value,
        "stage": device.stage.value,
        "addresses": _all(device, "address"),
        "services": _all(device, "service"),
        "first-seen": device.created_at.isoformat(),
        "last-seen": device.last_seen.isoformat() if device.last_seen else "",
    } | found


def _first(device: Device, name: str, now: datetime) -> str:
    found = best(device.attributes, name, now)
    return found.value if found else ""


def _all(device: Device, name: str) -> str:
    return " ".join(sorted({one.value.replace(" ", "/") for one in device.attributes if one.name == name}))


class _Line:
    """A file for ``csv.writer`` that keeps the one line written to it."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text = text
        return len(text)


def csv_lines(rows: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """RFC 4180 with a header line."""
    line = _Line()
    writer = csv.writer(line)
    writer.writerow(COLUMNS)
    yield line.text
    for one in rows:
        writer.writerow([_inert(one.get(column, "")) for column in COLUMNS])
        yield line.text


def _inert(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_RUN) else cell


def read_sheet(text: str) -> tuple[Entry, ...]:
    """The rows of a CSV, or of a JSON list of objects. ``BadSheet`` names the row that cannot be read."""
    rows = _from_json(text) if text.lstrip()[:1] in ("[", "{") else _from_csv(text)
    entries: list[Entry] = []
    for number, cells in enumerate(rows, start=1):
        if number > MAX_ROWS:
            raise BadSheet(f"The inventory has more than {MAX_ROWS:,} rows; bring it in by parts.")
        entries.append(_entry(cells, number))
    if not entries:
        raise BadSheet("The inventory has no rows; export one to see its columns.")
    return tuple(entries)


def _from_csv(text: str) -> Iterator[Mapping[str, str]]:
    try:
        reader = csv.DictReader(text.removeprefix("\ufeff").splitlines(), strict=True)
        for cells in reader:
            yield {
                str(name).strip().lower(): (value or "").strip()
                for name, value in cells.items()
                if name is not None and not isinstance(value, list)
            }
    except csv.Error as error:
        raise BadSheet(f"The inventory is not CSV: {error}.") from error


def _from_json(text: str) -> Iterator[Mapping[str, str]]:
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadSheet(f"The inventory is not JSON: {error}.") from error
    rows = document.get("devices") if isinstance(document, dict) else document
    if not isinstance(rows, list):
        raise BadSheet("The inventory must be a list of objects, one for each device.")
    for number, cells in enumerate(rows, start=1):
        if not isinstance(cells, dict) or not all(isinstance(value, str) for value in cells.values()):
            raise BadSheet(f"Row {number} of the inventory is not an object of texts.")
        yield {str(name).lower(): value.strip() for name, value in cells.items()}


def _entry(cells: Mapping[str, str], number: int) -> Entry:
    unknown = set(cells) - set(COLUMNS)
    if unknown:
        raise BadSheet(f"Row {number} has a column {sorted(unknown)[0]!r}, which an inventory does not; see an export.")
    kept = {name: _plain(value, name, number) for name, value in cells.items()}
    id, mac = kept.get("id", ""), kept.get("mac", "").lower().replace("-", ":")
    if id and not is_device_id(id):
        raise BadSheet(f"Row {number}: {id[:40]!r} is not a device's id; leave it empty to go by the address.")
    if mac and (len(mac) != 17 or not _is_mac(mac)):
        raise BadSheet(f"Row {number}: {mac[:40]!r} is not a MAC address; write it as aa:bb:cc:dd:ee:ff.")
    if not id and not mac:
        raise BadSheet(f"Row {number} names neither an id nor a MAC address, so it is about no device.")
    if not id and is_local(mac):
        raise BadSheet(
            f"Row {number}: {mac} is a randomised address; a device cannot be known again by it. Name its id."
        )
    for name in ("owner", "site", "zone"):
        if kept.get(name) and not is_name(kept[name]):
            raise BadSheet(f"Row {number}: {kept[name][:40]!r} cannot name a {name}; use a-z, 0-9, dots and dashes.")
    stated = {name: kept.get(name, "") for name in _STATED}
    return Entry(id=id, mac=mac, facts={name: kept[name] for name in DESCRIBED if kept.get(name)}, **stated)


def _plain(value: str, name: str, number: int) -> str:
    if value[:1] == "'" and value[1:2] in _RUN:
        value = value[1:]
    if len(value) > MAX_CELL or not value.isprintable():
        raise BadSheet(
            f"Row {number}: {name} is longer than {MAX_CELL} characters, or has some that cannot be printed."
        )
    return value


def _is_mac(text: str) -> bool:
    parts = text.split(":")
    return len(parts) == 6 and all(
        len(part) == 2 and all(sign in "0123456789abcdef" for sign in part) for part in parts
    )
