"""The ledger's records: written in the unit of work whose acts they record, in its transaction.

A record's place in the tree is its ``position``, counted without a gap in the order of commits. On SQLite the one writer
sees to that; on PostgreSQL a transaction takes a lock just before its records, so that controllers wait for each
other's commit and never for the tree (docs/adr/0003).
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from hashlib import sha256
from typing import Any
from zlib import crc32

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from bastide.adapters.sql.database import Unit
from bastide.adapters.sql.ledger_keys import partition_base
from bastide.adapters.sql.schema.ledger import ledger_kinds, ledger_personal, ledger_records
from bastide.core.audit import Personal, Recorded
from bastide.core.ids import RecordId
from bastide.governance.audit.erasure import ERASED_KIND, erasure
from bastide.governance.audit.personal import SALT_BYTES, keep
from bastide.governance.audit.pruning import prunable
from bastide.governance.audit.record import commitments, flat, instant, plain, presentable, read_record, write_record
from bastide.ports.clock import Clock, Ids

# Any number that no other part of Bastide takes; PostgreSQL's advisory locks are numbers.
APPEND_LOCK = 0x62617374_00000001

_DIGITS = "abcdefghijklmnopqrstuvwxyz234567"
_COUNTED = 3
_PER_BASE = len(_DIGITS) ** _COUNTED
_TAILS = tuple(a + b + c for a in _DIGITS for b in _DIGITS for c in _DIGITS)


# Rows of one statement. The driver lets go of the interpreter once for each statement; with a row each, every row would wait
# for its turn again while the event loop computes.
_STEPS = (5000, 1000, 200, 40, 8, 1)

Row = tuple[int, str, int, bytes, bytes]
"""CRC of the id, kind, CRC of the subject, leaf hash, body: a record without its position, which only the transaction knows."""


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
        self._rows: list[Row] | None = None

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
        shown = flat(body)
        personal = shown is None
        if shown is None:
            shown = plain(body)
        who = self._actor if actor is None else actor
        kind, subject = presentable(kind), presentable(subject)
        commit = partial(self._commit, record_id) if personal or type(who) is Personal else None
        encoded = write_record(record_id, kind, subject, who, self._at_text, shown, 1, commit)
        leaf = sha256(b"\x00" + encoded).digest()
        self._rows.append((crc32(record_id.encode()), kind, crc32(subject.encode()), leaf, encoded))
        self._unit.records.append((record_id, kind, subject, who, self._at, shown))
        return record_id

    def erase(self, commitments: Sequence[str]) -> RecordId:
        """Erases what is kept for these commitments, and records that it was erased, so that nobody takes it for lost."""
        wanted = sorted(set(commitments))

        def change(connection: Connection) -> None:
            _overwrite_deleted(connection)
            gone = delete(ledger_personal).where(ledger_personal.c.commitment == bindparam("gone"))
            connection.execute(gone, [{"gone": one} for one in wanted])

        self._unit.change(change)
        return self.record(ERASED_KIND, "person", erasure(wanted))

    def _commit(self, record: RecordId, value: str) -> str:
        kept = keep(self._entropy(SALT_BYTES), value)
        self._unit.append(append_personal, (kept.commitment, record, kept.salt, kept.value))
        return kept.commitment

    def _next_id(self) -> RecordId:
        """One mint gives 17 random characters (85 bits) and the last three count: a fraction of the cost of a mint each."""
        if self._minted == _PER_BASE:
            self._base = self._ids.mint("r")[:-_COUNTED]
            self._minted = 0
        record_id = self._base + _TAILS[self._minted]
        self._minted += 1
        return RecordId(record_id)


def append_records(connection: Connection, rows: Sequence[Row]) -> None:
    """Inserts records at the end, in their order."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({APPEND_LOCK})")
    last = connection.scalar(select(func.max(ledger_records.c.position)))
    first = 0 if last is None else last + 1
    kinds = {kind: crc32(kind.encode()) for kind in {row[1] for row in rows}}
    _append_kinds(connection, kinds)
    done = 0
    for size in _STEPS:
        statement = _insert(size, connection.dialect.paramstyle)
        while len(rows) - done >= size:
            values: list[Any] = []
            for position, (id_crc, kind, subject_crc, leaf, body) in enumerate(rows[done : done + size], first + done):
                part = partition_base(position)
                values += (position, part | id_crc, kinds[kind], part | subject_crc, leaf, body)
            connection.exec_driver_sql(statement, tuple(values))
            done += size


@cache
def _insert(size: int, paramstyle: str) -> str:
    one = f"({', '.join(['%s' if paramstyle in ('format', 'pyformat') else '?'] * 6)})"
    columns = "position, id_key, kind_key, subject_key, leaf, body"
    return f"INSERT INTO ledger_records ({columns}) VALUES {', '.join([one] * size)}"  # noqa: S608 (only marks are filled in)


def _append_kinds(connection: Connection, kinds: Iterable[str]) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = dialect.insert(ledger_kinds).on_conflict_do_nothing()
    connection.execute(new, [{"kind": kind} for kind in sorted(kinds)])


def append_personal(connection: Connection, rows: Sequence[tuple[str, str, bytes, str]]) -> None:
    connection.execute(
        insert(ledger_personal),
        [{"commitment": row[0], "record": row[1], "salt": row[2], "value": row[3]} for row in rows],
    )


def prune_bodies(connection: Connection, first: int, end: int) -> int:
    """Removes the bodies that may go of records from ``first`` to before ``end``, and the facts beside them; how many went."""
    table = ledger_records.c
    rows = connection.execute(
        select(table.position, table.body).where(table.position >= first, table.position < end, table.body.is_not(None))
    )
    going = [(row.position, stored) for row in rows if prunable((stored := read_record(bytes(row.body))).kind)]
    if not going:
        return 0
    _overwrite_deleted(connection)
    without = update(ledger_records).where(table.position == bindparam("place")).values(body=None)
    connection.execute(without, [{"place": place} for place, _ in going])
    facts = [{"gone": one} for _, stored in going for one in commitments(stored)]
    if facts:
        connection.execute(delete(ledger_personal).where(ledger_personal.c.commitment == bindparam("gone")), facts)
    return len(going)


def _overwrite_deleted(connection: Connection) -> None:
    """From here on this connection overwrites the bytes of what it deletes."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete=ON")
