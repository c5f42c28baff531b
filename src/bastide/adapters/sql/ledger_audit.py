"""Reads the ledger's tables raw, for the audit: what stands there, of whatever type, is handed to the rules to judge."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, create_engine, inspect, make_url, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from bastide.adapters.sql.ledger_keys import keys_of, kinds, of_kind, of_subject, position_of
from bastide.adapters.sql.ledger_reads import kept_facts, tiles_of
from bastide.adapters.sql.schema.ledger import ledger_records
from bastide.core.audit import Checkpoint
from bastide.core.error import NotFound, Unavailable, Unreadable
from bastide.governance.audit.bundle import Exported, revealed, write_bundle
from bastide.governance.audit.personal import Kept
from bastide.governance.audit.reconcile import Journal
from bastide.governance.audit.record import MalformedRecord, commitments, read_record
from bastide.governance.audit.tables import TablesAudit
from bastide.wire.note import VerifierKey

_TABLES = ("shards", "records", "kinds", "tiles", "checkpoints", "personal")
_BATCH = 2_000
JOURNAL, HELD = "signer's journal", "checkpoint that you hold"


@contextmanager
def opened_for_audit(url: str) -> Iterator[Connection]:
    """A connection of its own in one snapshot that can write nothing, whether a controller runs or not."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":

        def connect() -> sqlite3.Connection:
            # A file that was not closed properly has a log that must be joined, which needs the right to write beside it.
            connection = sqlite3.connect(f"file:{quote(parsed.database or '')}?mode=rw", uri=True, isolation_level=None)
            connection.execute("PRAGMA query_only=ON")
            connection.execute("BEGIN")
            return connection

        engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    else:
        engine = create_engine(parsed, poolclass=NullPool, isolation_level="REPEATABLE READ")
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("ledger_records"):
                raise Unreadable("The database has no ledger: name the database of a Bastide that was started once.")
            yield connection
            connection.rollback()
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise Unavailable(
            f"The database cannot be read: {cause}. Check where it is, and that it may be read."
        ) from error
    finally:
        engine.dispose()


def audit_tables(
    connection: Connection, key: VerifierKey, journal: Journal, held: Checkpoint | None = None
) -> TablesAudit:
    """Everything recomputed from the tables; ``finish()`` of what it returns gives the verdict."""
    heads: dict[int, list[tuple[str, bytes]]] = {size: [(JOURNAL, root)] for size, root in journal.heads.items()}
    if held is not None:
        heads.setdefault(held.size, []).append((HELD, held.root))
    audit = TablesAudit(key, tiles_of(connection), heads)
    for step in (_shards, _checkpoints, _records, _tiles, _personal, _kinds):
        try:
            step(connection, audit)
        except DBAPIError as error:
            place = audit.verdict.records
            audit.verdict.found(
                step.__name__.replace("_", "ledger_", 1),
                f"The database cannot read it to its end: {error.orig}.",
                place,
            )
    if connection.dialect.name == "sqlite":
        _integrity(connection, audit)
    return audit


def _raw(connection: Connection, column: str) -> str:
    """Text as it is on disk: on SQLite, bytes that are not UTF-8 would otherwise stop the whole reading."""
    return f"CAST({column} AS BLOB)" if connection.dialect.name == "sqlite" else column


def _text(value: object) -> object:
    if isinstance(value, bytes | memoryview):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            return bytes(value)
    return value


def _octets(value: object) -> object:
    return bytes(value) if isinstance(value, bytes | memoryview) else value


def _shards(connection: Connection, audit: TablesAudit) -> None:
    origin = _raw(connection, "origin")
    rows = connection.execute(text(f"SELECT shard, {origin}, first, closed FROM ledger_shards ORDER BY shard"))  # noqa: S608
    audit.shards([(row[0], _text(row[1]), row[2], row[3]) for row in rows])


def _checkpoints(connection: Connection, audit: TablesAudit) -> None:
    note = _raw(connection, "note")
    rows = connection.execute(text(f"SELECT shard, size, root, {note} FROM ledger_checkpoints ORDER BY shard, size"))  # noqa: S608
    audit.checkpoints((row[0], row[1], _octets(row[2]), _text(row[3])) for row in rows)


def _records(connection: Connection, audit: TablesAudit) -> None:
    """In batches by position, so that nothing large is held, whatever the driver does."""
    ask = text(
        "SELECT position, leaf, body, id_key, kind_key, subject_key FROM ledger_records "
        "WHERE position > :after ORDER BY position LIMIT :batch"
    )
    after: Any = -(2**63)
    while True:
        rows = connection.execute(ask, {"after": after, "batch": _BATCH}).all()
        for row in rows:
            audit.record(row[0], _octets(row[1]), _octets(row[2]), tuple(row[3:]), keys_of)
        if len(rows) < _BATCH:
            return
        after = rows[-1][0]


def _tiles(connection: Connection, audit: TablesAudit) -> None:
    rows = connection.execute(text("SELECT shard, level, number, length(hashes) FROM ledger_tiles"))
    audit.tiles((row[0], row[1], row[2], row[3]) for row in rows)


def _personal(connection: Connection, audit: TablesAudit) -> None:
    columns = ", ".join(_raw(connection, name) for name in ("commitment", "record"))
    value = _raw(connection, "value")
    rows = connection.execute(text(f"SELECT {columns}, salt, {value} FROM ledger_personal"))  # noqa: S608
    audit.personal((_text(row[0]), _text(row[1]), _octets(row[2]), _text(row[3])) for row in rows)


def _kinds(connection: Connection, audit: TablesAudit) -> None:
    kind = _raw(connection, "kind")
    audit.kinds(_text(row[0]) for row in connection.execute(text(f"SELECT {kind} FROM ledger_kinds")))  # noqa: S608


def _integrity(connection: Connection, audit: TablesAudit) -> None:
    """What SQLite says of its own pages and indexes, which reading rows does not touch."""
    for name in _TABLES:
        try:
            said = list(connection.scalars(text(f"PRAGMA integrity_check('ledger_{name}')")))
        except DBAPIError as error:
            said = [str(error.orig)]
        for sentence in said:
            if sentence != "ok":
                audit.verdict.found(f"ledger_{name}", f"SQLite finds the file damaged: {sentence}.")


def exported_lines(
    connection: Connection, checkpoint: Checkpoint, selection: str, show: bool, since: int | None = None
) -> Iterator[bytes]:
    """The lines of a bundle over what was selected (``all``, ``range:A-B``, ``record:``, ``subject:``, ``kind:``)."""
    records = _selected(connection, checkpoint.size, selection, show)
    return write_bundle(checkpoint, 0, selection, records, tiles_of(connection), since)


def _selected(connection: Connection, size: int, selection: str, show: bool) -> Iterator[Exported]:
    what, _, value = selection.partition(":")
    if what in ("all", "range"):
        first, last = (0, size - 1) if what == "all" else (int(part) for part in value.split("-"))
        if last >= size or first > last:
            raise NotFound(f"The signed ledger holds records 0 to {size - 1}, and {first} to {last} was asked for.")
        for start in range(first, last + 1, _BATCH):
            yield from _exported(connection, range(start, min(start + _BATCH, last + 1)), show)
        return
    if what == "record":
        positions = [position_of(connection, value)]
    elif what == "subject":
        positions = [position for position, _ in of_subject(connection, value)]
    else:
        positions = [position for kind in kinds(connection, value) for position, _ in of_kind(connection, kind)]
    positions = sorted(position for position in positions if position < size)
    if not positions:
        raise NotFound(f"The signed ledger holds no record of {what} {value!r}.")
    for start in range(0, len(positions), 500):
        yield from _exported(connection, positions[start : start + 500], show)


def _exported(connection: Connection, positions: Sequence[int], show: bool) -> Iterator[Exported]:
    table = ledger_records.c
    where = (
        table.position.between(positions[0], positions[-1])
        if isinstance(positions, range)
        else table.position.in_(positions)
    )
    for row in connection.execute(select(table.position, table.body, table.leaf).where(where).order_by(table.position)):
        body = None if row.body is None else bytes(row.body)
        facts: tuple[Kept, ...] = ()
        if show and body is not None:
            try:
                stored = read_record(body)
                facts = revealed(stored, kept_facts(connection, commitments(stored)))
            except MalformedRecord:  # the bundle shows that it is not the record that was signed
                facts = ()
        yield Exported(row.position, body, bytes(row.leaf), facts)
