"""Waivers in force, as the reader may see them, and what a new one may reach."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from bastide.controller.console.views.reader import Reader
from bastide.core.decision import Waiver
from bastide.core.error import Refused
from bastide.core.evidence import Subject, SubjectKind
from bastide.core.ids import is_device_id, is_name
from bastide.ports.platform.stores import Stores


@dataclass(frozen=True, slots=True)
class Known:
    """A waiver, for whom it is in words, and the device's address where it is for one device."""

    waiver: Waiver
    whom: str
    device: str


async def waivers(stores: Stores, reader: Reader, now: datetime) -> tuple[Known, ...]:
    """The waivers that could concern a device in the reader's scope, the next to end first."""
    found = []
    for waiver in await stores.waivers.in_force(now):
        subject = waiver.subject
        if subject is None:
            found.append(Known(waiver, "every device", ""))
        elif subject.kind is SubjectKind.DEVICE:
            device = await reader.device(subject.id)
            if device is not None:
                found.append(Known(waiver, device.name or device.id, device.id))
        elif subject.kind is not SubjectKind.SITE or not reader.scope.sites or subject.id in reader.scope.sites:
            found.append(Known(waiver, f"{subject.kind} {subject.id}", ""))
    return tuple(sorted(found, key=lambda known: known.waiver.ends_at))


def may_end(known: Known, reader: Reader) -> bool:
    """Who is limited to some sites or classes may end what is for one device of theirs, and nothing wider."""
    return reader.scope.boundless or bool(known.device)


async def subject_of(text: str, reader: Reader) -> Subject | None:
    """What a form names: a device id, ``site NAME``, ``profile NAME``, or nothing for every device."""
    words = text.split()
    if not words:
        if not reader.scope.boundless:
            raise Refused("A waiver for every device reaches beyond your sites and classes; name one device.")
        return None
    if len(words) == 1 and is_device_id(words[0]):
        if await reader.device(words[0]) is None:
            raise Refused(f"There is no device {words[0]} that you may see.")
        return Subject(SubjectKind.DEVICE, words[0])
    if len(words) == 2 and words[0] in ("site", "profile") and is_name(words[1]) and reader.scope.boundless:
        return Subject(SubjectKind(words[0]), words[1])
    raise Refused("Name a device by its id, `site NAME`, `profile NAME`, or leave it empty for every device.")


def ends(now: datetime, days: int) -> datetime:
    return now + timedelta(days=days)
