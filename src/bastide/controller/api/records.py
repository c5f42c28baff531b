"""Ledger records as the API shows them, to whom, and as they happen.

Who is limited to some sites or classes sees the records about devices in them and no other. A fact about a person is shown
only to whoever may read people; the proof still holds for what is hidden.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bastide.controller.api.deps import Deps
from bastide.controller.api.models import RecordOut
from bastide.core.audit import Personal, Record
from bastide.core.error import NotFound
from bastide.core.ids import DeviceId, is_device_id
from bastide.governance.access.principal import Principal
from bastide.governance.access.roles import Permission

HIDDEN = "(a fact about a person)"


def shown(record: Record, asking: Principal) -> RecordOut:
    """The record as whoever asks may read it."""
    reads_people = asking.may(Permission.PEOPLE_READ)
    actor = record.actor
    return RecordOut(
        id=record.id,
        kind=record.kind,
        subject=record.subject,
        actor=actor if isinstance(actor, str) else actor.value if reads_people else HIDDEN,
        at=record.at,
        version=record.version,
        body={name: _plain(value, reads_people) for name, value in record.body.items()},
    )


async def visible(records: Sequence[Record], asking: Principal, deps: Deps) -> list[Record]:
    """Those of the records that whoever asks may see, in their order."""
    if asking.scope.boundless:
        return list(records)
    seen: dict[str, bool] = {}
    for record in records:
        if record.subject not in seen:
            seen[record.subject] = await _sees(record.subject, asking, deps)
    return [record for record in records if seen[record.subject]]


async def _sees(subject: str, asking: Principal, deps: Deps) -> bool:
    kind, _, id = subject.partition(":")
    if kind != "device" or not is_device_id(id):
        return False
    try:
        return asking.sees(await deps.governing.stores.devices.get(DeviceId(id)))
    except NotFound:
        return False


def _plain(value: Any, reads_people: bool) -> Any:
    if isinstance(value, Personal):
        return value.value if reads_people else HIDDEN
    if isinstance(value, Mapping):
        return {str(name): _plain(inner, reads_people) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner, reads_people) for inner in value]
    return value
