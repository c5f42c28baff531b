"""Conversations by the hour."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, delete, func, select

from bastide.adapters.sql.database import Database, Unit
from bastide.adapters.sql.evidence import upsert
from bastide.adapters.sql.schema.conversations import conversation_windows, conversations
from bastide.core.conversation import Conversation
from bastide.core.ids import DeviceId
from bastide.ports.platform.conversations import Hour, Wanted

_KEY = ("hour", "device", "peer", "transport", "port", "protocol", "opened_by_device")
_COUNTS = ("flows", "packets_sent", "packets_received", "bytes_sent", "bytes_received")
_NAMES = tuple(field.name for field in fields(Conversation))


class ConversationWrites:
    """Implements ports.platform.conversations.ConversationWrites."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def add(self, source: str, window: str, at: datetime, seen: Sequence[Conversation]) -> None:
        rows = _by_hour(seen)

        def apply(connection: Connection) -> None:
            mark = upsert(connection, conversation_windows).values(source=source, window=window, taken_at=at)
            new = connection.execute(mark.on_conflict_do_nothing().returning(conversation_windows.c.window)).first()
            if new is not None:
                _add(connection, rows)

        self._unit.change(apply)

    def reassign(self, device: DeviceId, to: DeviceId) -> None:
        def apply(connection: Connection) -> None:
            mine = conversations.c.device == device
            rows = connection.execute(select(conversations).where(mine)).mappings().all()
            connection.execute(delete(conversations).where(mine))
            _add(connection, [dict(row) | {"device": to} for row in rows])

        self._unit.change(apply)


def _add(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Adds rows to what is there, one for each key."""
    if not rows:
        return
    table = conversations.c
    statement = upsert(connection, conversations)
    newer = statement.excluded
    added: dict[str, Any] = {name: table[name] + newer[name] for name in _COUNTS}
    added["peer_name"] = case((newer.peer_name != "", newer.peer_name), else_=table.peer_name)
    added["first_seen"] = case((newer.first_seen < table.first_seen, newer.first_seen), else_=table.first_seen)
    added["last_seen"] = case((newer.last_seen > table.last_seen, newer.last_seen), else_=table.last_seen)
    connection.execute(statement.on_conflict_do_update(index_elements=list(_KEY), set_=added), rows)


def _by_hour(seen: Sequence[Conversation]) -> list[dict[str, Any]]:
    """One row for each key: an upsert may not meet the same one twice."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in seen:
        row: dict[str, Any] = {name: getattr(one, name) for name in _NAMES}
        row["hour"] = one.first_seen.replace(minute=0, second=0, microsecond=0)
        key = tuple(row[name] for name in _KEY)
        known = rows.get(key)
        if known is None:
            rows[key] = row
            continue
        for name in _COUNTS:
            known[name] += row[name]
        known["peer_name"] = row["peer_name"] or known["peer_name"]
        known["first_seen"] = min(known["first_seen"], row["first_seen"])
        known["last_seen"] = max(known["last_seen"], row["last_seen"])
    return list(rows.values())


class ConversationReads:
    """Implements ports.platform.conversations.ConversationReads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, wanted: Wanted) -> Sequence[Conversation]:
        table = conversations.c
        keys = [table[name] for name in _KEY[1:]]
        counts = [func.sum(table[name]).label(name) for name in _COUNTS]
        busiest = func.sum(table.bytes_sent + table.bytes_received).desc()
        query = (
            select(
                *keys,
                *counts,
                func.max(table.peer_name).label("peer_name"),
                func.min(table.first_seen, type_=table.first_seen.type).label("first_seen"),
                func.max(table.last_seen, type_=table.last_seen.type).label("last_seen"),
            )
            .where(table.last_seen >= wanted.since, table.first_seen < wanted.until)
            .group_by(*keys)
            .order_by(busiest, *keys)
            .limit(wanted.limit)
        )
        if wanted.devices:
            query = query.where(table.device.in_(wanted.devices))
        rows = await self._database.read(lambda connection: connection.execute(query).mappings().all())
        return [_conversation(row) for row in rows]

    async def by_hour(self, wanted: Wanted) -> Sequence[Hour]:
        table = conversations.c
        said = func.sum(table.bytes_sent + table.bytes_received).label("bytes")
        query = (
            select(table.hour, func.sum(table.flows).label("flows"), said)
            .where(table.hour >= wanted.since, table.hour < wanted.until)
            .group_by(table.hour)
            .order_by(table.hour)
            .limit(wanted.limit)
        )
        if wanted.devices:
            query = query.where(table.device.in_(wanted.devices))
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [Hour(row.hour, int(row.flows), int(row.bytes)) for row in rows]


def _conversation(row: Mapping[Any, Any]) -> Conversation:
    values = {name: row[name] for name in _NAMES}
    values["device"] = DeviceId(row["device"])
    for name in _COUNTS:
        values[name] = int(row[name])  # PostgreSQL adds up to a numeric
    return Conversation(**values)
