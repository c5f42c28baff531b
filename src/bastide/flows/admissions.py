"""Who may come without a claim, as a person says it: vendors, expected devices, windows, and the answers to those who asked."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import StringIO

from cryptography.hazmat.primitives.hashes import SHA256

from bastide.core.error import NotFound, Refused
from bastide.core.ids import OwnerName, SiteName, is_name
from bastide.device.credential.admission import (
    Answered,
    EnrolmentRequest,
    EnrolmentRequestId,
    Expected,
    ExpectedId,
    Window,
    WindowId,
    check_window,
)
from bastide.device.identity.manufacturer import MAX_SERIAL, Vendor, read_vendor_anchors
from bastide.flows.claims import LONGEST_NAME, Claiming, check_names
from bastide.flows.describe_kinds import ensure_class
from bastide.ports.platform.admissions import AdmissionReads

MAX_LIST_BYTES = 4 << 20
MAX_LIST = 20_000
MAX_VENDORS = 100
COLUMNS = ("serial", "class", "owner", "site", "name")


@dataclass(frozen=True, slots=True)
class AdmittingPeople:
    """What these flows work with."""

    claiming: Claiming
    reads: AdmissionReads

    def now(self) -> datetime:
        return self.claiming.clock.now()


async def put_vendor(name: str, anchors: bytes, unexpected: bool, actor: str, with_: AdmittingPeople) -> Vendor:
    """Names a maker whose certificates are believed, or changes what was said of it."""
    if not is_name(name):
        raise Refused(f"{name!r} cannot name a vendor: use 1 to 63 characters of a-z 0-9 . _ -", code="vendor:name")
    held = await with_.reads.vendors()
    if len(held) >= MAX_VENDORS and name not in {one.name for one in held}:
        raise Refused(f"There are {MAX_VENDORS} vendors, and no more are kept.", code="vendor:many")
    vendor = Vendor(name, read_vendor_anchors(anchors), unexpected, with_.now(), actor)
    async with with_.claiming.units(actor) as work:
        work.admissions.put_vendor(vendor)
        work.ledger.record(
            "enrolment:vendor:named",
            f"vendor:{name}",
            {
                "anchors": [one.subject.rfc4514_string() for one in vendor.anchors],
                "sha256": [one.fingerprint(SHA256()).hex() for one in vendor.anchors],
                "unexpected": "may ask" if unexpected else "refused",
            },
        )
    return vendor


async def remove_vendor(name: str, actor: str, with_: AdmittingPeople) -> None:
    """From now on nobody comes in by this maker's certificates. Who came in stays."""
    if name not in {one.name for one in await with_.reads.vendors()}:
        raise NotFound(f"There is no vendor {name}. `bastide vendor list` shows those that there are.")
    async with with_.claiming.units(actor) as work:
        work.admissions.remove_vendor(name)
        work.ledger.record("enrolment:vendor:removed", f"vendor:{name}", {})


async def expect(vendor: str, listed: bytes, actor: str, with_: AdmittingPeople) -> Sequence[Expected]:
    """Puts a purchase list (CSV with a heading: ``serial``, ``class``, and ``owner``, ``site``, ``name`` if given) on the list of
    expected devices: all of it, or nothing with the first line that is wrong."""
    if vendor not in {one.name for one in await with_.reads.vendors()}:
        raise NotFound(f"There is no vendor {vendor}. Name it first with `bastide vendor add {vendor} CA.pem`.")
    lines = read_list(listed)
    classes = {}
    for device_class in sorted({line["class"] for line in lines}):
        classes[device_class], _ = await ensure_class(device_class, actor, with_.claiming.governing)
    now = with_.now()
    devices = [
        Expected(
            id=ExpectedId(with_.claiming.ids.mint("x")),
            vendor=vendor,
            serial=line["serial"],
            device_class=classes[line["class"]].name,
            owner=OwnerName(line["owner"] or classes[line["class"]].owner),
            site=SiteName(line["site"] or classes[line["class"]].site),
            added_at=now,
            added_by=actor,
            name=line["name"],
        )
        for line in lines
    ]
    async with with_.claiming.units(actor) as work:
        work.admissions.expect(devices)
        work.ledger.record(
            "enrolment:devices:expected", f"vendor:{vendor}", {"count": len(devices), "first": devices[0].serial}
        )
    return devices


def read_list(listed: bytes) -> Sequence[dict[str, str]]:
    """The lines of a purchase list; ``Refused`` names the first that is wrong."""
    if len(listed) > MAX_LIST_BYTES:
        raise Refused(f"The list has more than {MAX_LIST_BYTES >> 20} MiB.", code="expect:list")
    try:
        rows = csv.DictReader(StringIO(listed.decode("utf-8-sig")), strict=True)
        names = [name.strip().lower() for name in rows.fieldnames or ()]
        found = [dict(zip(names, row.values(), strict=False)) for row in rows]
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"The list cannot be read as CSV in UTF-8: {error}.", code="expect:list") from error
    if not {"serial", "class"} <= set(names) or not set(names) <= set(COLUMNS):
        raise Refused(
            f"The list's heading is {', '.join(names)[:200]!r}; it has serial and class, and may have owner, site and name.",
            code="expect:list",
        )
    if not 1 <= len(found) <= MAX_LIST:
        raise Refused(f"The list has {len(found)} devices; 1 to {MAX_LIST} are taken at once.", code="expect:list")
    lines = [_line(number, row) for number, row in enumerate(found, 2)]
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 2):
        if line["serial"] in seen:
            raise Refused(f"Line {number} has the serial number of line {seen[line['serial']]}.", code="expect:list")
        seen[line["serial"]] = number
    return lines


def _line(number: int, row: dict[str, str]) -> dict[str, str]:
    line = {name: str(row.get(name) or "").strip() for name in COLUMNS}
    wrong = ""
    if not 0 < len(line["serial"]) <= MAX_SERIAL or not line["serial"].isprintable():
        wrong = f"a serial number has 1 to {MAX_SERIAL} printable characters"
    elif not is_name(line["class"]):
        wrong = f"{line['class'][:64]!r} cannot name a class: use 1 to 63 characters of a-z 0-9 . _ -"
    elif any(line[one] and not is_name(line[one]) for one in ("owner", "site")):
        wrong = "owner and site are 1 to 63 characters of a-z 0-9 . _ -"
    elif len(line["name"]) > LONGEST_NAME or not line["name"].isprintable():
        wrong = f"a name has at most {LONGEST_NAME} printable characters"
    if wrong or None in row:
        raise Refused(
            f"Line {number} of the list: {wrong or 'it has more fields than the heading'}.", code="expect:list"
        )
    return line


async def do_not_expect(vendor: str, serial: str, actor: str, with_: AdmittingPeople) -> Expected:
    """Takes a device that has not come from the list; ``NotFound`` where it is not on it."""
    held = await with_.reads.expected(vendor, serial)
    if held is None:
        raise NotFound(f"No device of {vendor} with the serial number {serial} is expected.")
    async with with_.claiming.units(actor) as work:
        work.admissions.do_not_expect(held.id)
        work.ledger.record("enrolment:device:not-expected", f"vendor:{vendor}", {"serial": serial})
    return held


async def open_window(
    device_class: str, owner: str, site: str, span: timedelta, most: int, actor: str, with_: AdmittingPeople
) -> Window:
    """From now on, for a while, devices of a class may ask without any proof. One window a class at a time."""
    check_window(span, most)
    check_names(owner, site)
    entry, _ = await ensure_class(device_class, actor, with_.claiming.governing)
    now = with_.now()
    if any(one.device_class == entry.name for one in await with_.reads.windows(now)):
        raise Refused(f"A window for {entry.name} is open already; close it first.", code="enrolment:window:open")
    window = Window(
        id=WindowId(with_.claiming.ids.mint("n")),
        device_class=entry.name,
        owner=OwnerName(owner) if owner else entry.owner,
        site=SiteName(site) if site else entry.site,
        opened_at=now,
        opened_by=actor,
        ends_at=now + span,
        most=most,
    )
    async with with_.claiming.units(actor) as work:
        work.admissions.open_window(window)
        work.ledger.record(
            "enrolment:window:opened",
            f"window:{window.id}",
            {"class": window.device_class, "site": window.site, "ends_at": window.ends_at.isoformat(), "most": most},
        )
    return window


async def close_window(id: WindowId, actor: str, with_: AdmittingPeople) -> None:
    """Ends it now. Who asked may still be answered."""
    async with with_.claiming.units(actor) as work:
        work.admissions.close_window(id, with_.now())
        work.ledger.record("enrolment:window:closed", f"window:{id}", {})


async def approve(
    id: EnrolmentRequestId,
    actor: str,
    with_: AdmittingPeople,
    *,
    device_class: str = "",
    owner: str = "",
    site: str = "",
    name: str = "",
) -> EnrolmentRequest:
    """Lets the device in when it asks again. What is given takes the place of what the request says."""
    held = await _waiting(id, with_)
    check_names(owner, site, name)
    entry, _ = await ensure_class(device_class or held.device_class, actor, with_.claiming.governing)
    return await _answer(
        held,
        Answered.APPROVED,
        actor,
        with_,
        device_class=entry.name,
        owner=owner or held.owner or entry.owner,
        site=site or held.site or entry.site,
        name=name,
    )


async def decline(id: EnrolmentRequestId, actor: str, with_: AdmittingPeople) -> EnrolmentRequest:
    """The device is told so when it asks again."""
    return await _answer(await _waiting(id, with_), Answered.DECLINED, actor, with_)


async def _waiting(id: EnrolmentRequestId, with_: AdmittingPeople) -> EnrolmentRequest:
    held = await with_.reads.request_of(id)
    if held is None:
        raise NotFound(f"There is no request {id}. `bastide enrolment requests` shows those that there are.")
    state = held.state_at(with_.now())
    if state != "waiting":
        raise Refused(f"The request {id} does not wait: it is {state}.", code="enrolment:request:answered")
    return held


async def _answer(
    held: EnrolmentRequest, answer: Answered, actor: str, with_: AdmittingPeople, **settled: str
) -> EnrolmentRequest:
    answered = held.answered(answer, actor, with_.now(), **settled)
    async with with_.claiming.units(actor) as work:
        work.admissions.answer(answered)
        work.ledger.record(
            f"enrolment:request:{answer.value}",
            f"request:{held.id}",
            {"key": held.key, "class": answered.device_class, "owner": answered.owner, "site": answered.site},
        )
    return answered
