"""Who reads a page, and what of it they may: devices in their scope, people only with the permission to read people.

The same rules as the API's (controller/api/records.py): a record about anything but a device is seen only without limits, a
fact about a person only by whoever may read people. What was read for a page is kept for that page.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from bastide.controller.console.views.words import HIDDEN, Said, said
from bastide.core.audit import Personal, Record, Recorded
from bastide.core.device import Device
from bastide.core.error import NotFound
from bastide.core.ids import DeviceId
from bastide.governance.access.person import PersonId
from bastide.governance.access.principal import Principal
from bastide.governance.access.roles import Permission
from bastide.ports.platform.access import AccessReads
from bastide.ports.platform.stores import Scope, Stores

_PERSON = re.compile(r"person:(p-[a-z2-7]{20})")


_SYSTEM = {"": "Bastide", "evidence": "the evidence worker", "access": "the door", "test": "a test"}


class Reader:
    """One per page that is made."""

    def __init__(self, stores: Stores, people: AccessReads, asking: Principal) -> None:
        self._stores = stores
        self._people = people
        self._asking = asking
        self._devices: dict[str, Device | None] = {}
        self._names: dict[str, str] = {}

    @property
    def scope(self) -> Scope:
        return self._asking.scope

    async def device(self, device: str) -> Device | None:
        """The device where it exists and is in scope."""
        if device not in self._devices:
            try:
                found = await self._stores.devices.get(DeviceId(device))
            except NotFound:
                found = None
            self._devices[device] = found if found is not None and self.scope.covers(found) else None
        return self._devices[device]

    async def sees(self, device: str) -> bool:
        return self.scope.boundless or await self.device(device) is not None

    async def sees_record(self, record: Record) -> bool:
        kind, _, name = record.subject.partition(":")
        return self.scope.boundless or (kind == "device" and await self.device(name) is not None)

    async def visible(self, records: Iterable[Record]) -> list[Record]:
        return [record for record in records if await self.sees_record(record)]

    async def actor(self, who: str | Personal) -> str:
        """Who did it, to read: ``the governor``, a person's name where the reader may know it."""
        if isinstance(who, Personal):
            return who.value if self._asking.may(Permission.PEOPLE_READ) else "a person"
        kind, _, name = who.partition(":")
        if kind == "person":
            return "you" if name == self._asking.person else await self._person(name)
        return {
            "system": _SYSTEM.get(name) or f"the {name.replace('-', ' ')}",
            "device": "the device itself",
            "token": "an API token",
            "claim": "whoever holds the claim",
        }.get(kind) or who

    async def text(self, sentence: str) -> str:
        """A sentence in which people stand by their names instead of their ids."""
        for person in set(_PERSON.findall(sentence)):
            sentence = sentence.replace(f"person:{person}", await self.actor(f"person:{person}"))
        return sentence

    async def lines(self, records: Sequence[Record]) -> tuple[Said, ...]:
        """Records in words."""
        lines = []
        for record in records:
            kind, _, name = record.subject.partition(":")
            device = await self.device(name) if kind == "device" else None
            title = (device.name or device.id) if device else ""
            if kind == "person":
                title = await self.actor(record.subject)
            lines.append(said(record, self.plain(record.body), title, await self.actor(record.actor)))
        return tuple(lines)

    def plain(self, body: Mapping[str, Recorded]) -> dict[str, Recorded]:
        """A record's body with facts about people in the clear, or hidden."""
        return {name: self._plain(value) for name, value in body.items()}

    def _plain(self, value: Recorded) -> Recorded:
        match value:
            case Personal():
                return value.value if self._asking.may(Permission.PEOPLE_READ) else HIDDEN
            case Mapping():
                return {str(name): self._plain(inner) for name, inner in value.items()}
            case list() | tuple():
                return [self._plain(inner) for inner in value]
        return value

    async def _person(self, id: str) -> str:
        if id not in self._names:
            name = "a person"
            if self._asking.may(Permission.PEOPLE_READ):
                try:
                    person = await self._people.person(PersonId(id))
                    name = person.display or person.name
                except NotFound:
                    pass
            self._names[id] = name
        return self._names[id]
