"""How records are found: whole-number keys that are made of a record's position and text.

``partition << 32 | CRC-32`` where a partition is 65,536 positions. New keys all fall into the newest partition, so a commit
writes few pages of an index however large the ledger has grown (random subjects over one flat index cost a page for each
record: three times slower at half a million records, and worse from there). A search goes through the partitions from the
newest; the text decides in the end, so a CRC that two subjects share costs a row and nothing else.
"""

from collections.abc import Iterator
from typing import Any
from zlib import crc32

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select

from bastide.adapters.sql.schema.ledger import ledger_kinds, ledger_records
from bastide.core.error import NotFound
from bastide.governance.audit.record import Stored, read_record

PARTITION_BITS = 16
_PAGE = 200
_KEYS_AT_ONCE = 500

Found = tuple[int, Stored]
"""A record and its position."""


def partition_base(position: int) -> int:
    return position >> PARTITION_BITS << 32


def keys_of(position: int, stored: Stored) -> tuple[int, int, int]:
    """``id_key, kind_key, subject_key`` of a record."""
    base = partition_base(position)
    return (
        base | crc32(stored.id.encode()),
        crc32(stored.kind.encode()),
        base | crc32(stored.subject.encode()),
    )


def position_of(connection: Connection, record: str) -> int:
    """Where the record is; ``NotFound`` where it is not, or its body was pruned."""
    table, crc = ledger_records.c, crc32(record.encode())
    bases = list(_bases(connection, None))
    for start in range(0, len(bases), _KEYS_AT_ONCE):
        keys = [base | crc for base in bases[start : start + _KEYS_AT_ONCE]]
        for row in connection.execute(select(table.position, table.body).where(table.id_key.in_(keys))):
            if row.body is not None and read_record(bytes(row.body)).id == record:
                return int(row.position)
    raise NotFound(f"The ledger holds no record {record}.")


def of_subject(connection: Connection, subject: str, before: int | None = None) -> Iterator[Found]:
    """Records on a subject, newest first."""
    crc = crc32(subject.encode())
    for base in _bases(connection, before):
        for found in _newest(connection, ledger_records.c.subject_key == base | crc, before):
            if found[1].subject == subject:
                yield found


def of_kind(connection: Connection, kind: str, before: int | None = None) -> Iterator[Found]:
    """Records of exactly that kind, newest first."""
    for found in _newest(connection, ledger_records.c.kind_key == crc32(kind.encode()), before):
        if found[1].kind == kind:
            yield found


def of_any(connection: Connection, before: int | None = None) -> Iterator[Found]:
    """All records, newest first."""
    return _newest(connection, None, before)


def kinds(connection: Connection, prefix: str) -> list[str]:
    """The kinds that begin so."""
    everything = connection.scalars(select(ledger_kinds.c.kind).order_by(ledger_kinds.c.kind))
    return [kind for kind in everything if kind.startswith(prefix)]


def _bases(connection: Connection, before: int | None) -> Iterator[int]:
    last = connection.scalar(select(func.max(ledger_records.c.position)))
    newest = -1 if last is None else min(last, last if before is None else before)
    for partition in range(newest >> PARTITION_BITS, -1, -1):
        yield partition << 32


def _newest(connection: Connection, where: ColumnElement[bool] | None, before: int | None) -> Iterator[Found]:
    table = ledger_records.c
    page: Select[Any] = select(table.position, table.body).order_by(table.position.desc()).limit(_PAGE)
    if where is not None:
        page = page.where(where)
    while True:
        wanted = page if before is None else page.where(table.position < before)
        rows: list[Row[Any]] = list(connection.execute(wanted))
        for row in rows:
            if row.body is not None:
                yield row.position, read_record(bytes(row.body))
        if len(rows) < _PAGE:
            return
        before = rows[-1].position
