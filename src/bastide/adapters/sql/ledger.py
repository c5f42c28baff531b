"""The ledger's records: written in the unit of work whose acts they record."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from bastide.adapters.sql.database import Unit
from bastide.core.audit import Personal, Record, Recorded
from bastide.core.ids import RecordId
from bastide.ports.clock import Clock, Ids


class LedgerWrites:
    """Implements ports.platform.units.LedgerWrites."""

    def __init__(self, unit: Unit, actor: str | Personal, clock: Clock, ids: Ids) -> None:
        self._unit = unit
        self._actor = actor
        self._clock = clock
        self._ids = ids

    def record(
        self,
        kind: str,
        subject: str,
        body: Mapping[str, Recorded] | Any,
        *,
        actor: str | Personal | None = None,
    ) -> RecordId:
        plain = body if isinstance(body, Mapping) else cast("Mapping[str, Recorded]", msgspec.to_builtins(body))
        record = Record(
            id=RecordId(self._ids.mint("r")),
            kind=kind,
            subject=subject,
            actor=self._actor if actor is None else actor,
            at=self._clock.now(),
            body=plain,
        )
        self._unit.records.append(record)
        return record.id
