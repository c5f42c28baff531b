"""The ledger's records: written in the unit of work whose acts they record, in its transaction.

A record's place in the tree is its ``position``, counted without a gap in the order of commits. On SQLite the one writer
sees to that; on PostgreSQL a transaction takes a lock just before its records, so that controllers wait for each
other's commit and never for the tree (docs/adr/0003).
"""

import os
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select

from bastide.adapters.sql.database import Unit
from bastide.adapters.sql.schema.ledger import ledger_personal, ledger_records
from bastide.core.audit import Personal, Record, Recorded
from bastide.core.ids import RecordId
from bastide.governance.audit.erasure import ERASED_KIND, erasure
from bastide.governance.audit.personal import SALT_BYTES, keep
from bastide.governance.audit.record import instant, plain, presentable, write_record
from bastide.ports.clock import Clock, Ids

# Any number that no other part of Bastide takes; PostgreSQL's advisory locks are numbers.
APPEND_LOCK = 0x62617374_00000001

_DIGITS = "abcdefghijklmnopqrstuvwxyz234567"
_COUNTED = 3
_PER_BASE = len(_DIGITS) ** _COUNTED
_TAILS = tuple(a + b + c for a in _DIGITS for b in _DIGITS for c in _DIGITS)


class RecordRow(NamedTuple):
    """A record without its position, which only the transaction knows."""

    id: str
    kind: str
    subject: str
    leaf: bytes
    body: bytes


class LedgerWrites:
    """Implements ports.platform.units.LedgerWrites. All records of a unit carry one time: they are one act of the database."""

    def __init__(
        self,
        unit: Unit,
        actor: str | Personal,
        clock: Clock,
        ids: Ids,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._unit = unit
        self._actor = actor
        self._clock = clock
        self._ids = ids
        self._entropy = entropy
        self._base = ""
        self._minted = _PER_BASE
        self._rows: list[RecordRow] | None = None

    def record(
        self,
        kind: str,
        subject: str,
        body: Mapping[str, Recorded] | Any,
        *,
        actor: str | Personal | None = None,
    ) -> RecordId:
        if self._rows is None:
            self._rows = self._unit.appends.setdefault(append_records, [])
            self._at = self._clock.now()
            self._at_text = instant(self._at)
        record_id = self._next_id()
        shown = plain(body)
        who = self._actor if actor is None else actor
        kind, subject = presentable(kind), presentable(subject)

        def commit(value: str) -> str:
            kept = keep(self._entropy(SALT_BYTES), value)
            self._unit.append(append_personal, (kept.commitment, record_id, kept.salt, kept.value))
            return kept.commitment

        encoded = write_record(record_id, kind, subject, who, self._at_text, shown, 1, commit)
        self._rows.append(RecordRow(record_id, kind, subject, sha256(b"\x00" + encoded).digest(), encoded))
        self._unit.records.append(Record(record_id, kind, subject, who, self._at, shown))
        return record_id

    def erase(self, commitments: Sequence[str]) -> RecordId:
        """Erases what is kept for these commitments, and records that it was erased, so that nobody takes it for lost."""
        wanted = sorted(set(commitments))

        def change(connection: Connection) -> None:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA secure_delete=ON")  # a deleted row's bytes are overwritten
            connection.execute(delete(ledger_personal).where(ledger_personal.c.commitment.in_(wanted)))

        self._unit.change(change)
        return self.record(ERASED_KIND, "person", erasure(wanted))

    def _next_id(self) -> RecordId:
        """One mint gives 17 random characters (85 bits); the last three count, so a unit's ids lie beside each other in the
        index and cost a fraction of a mint."""
        if self._minted == _PER_BASE:
            self._base = self._ids.mint("r")[:-_COUNTED]
            self._minted = 0
        record_id = self._base + _TAILS[self._minted]
        self._minted += 1
        return RecordId(record_id)


def append_records(connection: Connection, rows: Sequence[RecordRow]) -> None:
    """Inserts records at the end, in their order."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({APPEND_LOCK})")
    last = connection.scalar(select(func.max(ledger_records.c.position)))
    first = 0 if last is None else last + 1
    mark = "%s" if connection.dialect.paramstyle in ("format", "pyformat") else "?"
    connection.exec_driver_sql(
        "INSERT INTO ledger_records (position, id, kind, subject, leaf, body) "  # noqa: S608 (only the marks are filled in)
        f"VALUES ({', '.join([mark] * 6)})",
        [(position, *row) for position, row in enumerate(rows, first)],
    )


def append_personal(connection: Connection, rows: Sequence[tuple[str, str, bytes, str]]) -> None:
    connection.execute(
        insert(ledger_personal),
        [{"commitment": row[0], "record": row[1], "salt": row[2], "value": row[3]} for row in rows],
    )
