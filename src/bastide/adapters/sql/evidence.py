"""Evidence and findings."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, Select, String, bindparam, func, literal, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from bastide.adapters.sql.columns import dump, load
from bastide.adapters.sql.database import Database, Unit
from bastide.adapters.sql.schema.state import evidence, findings
from bastide.core.device import Device
from bastide.core.evidence import Evidence, Fact, Subject, SubjectKind, Trust
from bastide.core.finding import Finding
from bastide.core.ids import EvidenceId

# A posture looks at no more of one kind; rules that count more would say "at least 32".
NEWEST_OF_A_KIND = 32


class EvidenceWrites:
    """Implements ports.platform.units.EvidenceWrites."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def add(self, facts: Sequence[Evidence]) -> None:
        rows = [_row(fact) for fact in facts]
        if not rows:
            return

        def apply(connection: Connection) -> None:
            connection.execute(upsert(connection, evidence).on_conflict_do_nothing(index_elements=["id"]), rows)

        self._unit.change(apply)


def upsert(connection: Connection, table: Any) -> Any:
    """The dialect's INSERT that knows ON CONFLICT."""
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)


def _about() -> Select[Any]:
    """The newest of each kind about a device, its profile and its site. Made once: making it costs more than running it."""
    subjects = [
        (literal(kind.value), bindparam(kind.value, type_=String))
        for kind in (SubjectKind.DEVICE, SubjectKind.PROFILE, SubjectKind.SITE)
    ]
    newest = func.row_number().over(
        partition_by=(evidence.c.subject_kind, evidence.c.kind), order_by=evidence.c.observed_at.desc()
    )
    inner = (
        select(evidence, newest.label("nth"))
        .where(tuple_(evidence.c.subject_kind, evidence.c.subject_id).in_([tuple_(*one) for one in subjects]))
        .subquery()
    )
    return select(inner).where(inner.c.nth <= NEWEST_OF_A_KIND).order_by(inner.c.observed_at.desc(), inner.c.id)


_ABOUT = _about()


class EvidenceReads:
    """Implements ports.platform.stores.EvidenceReads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def about(self, device: Device) -> Sequence[Evidence]:
        given = {"device": device.id, "profile": device.profile, "site": device.site}
        rows = await self._database.read(lambda connection: connection.execute(_ABOUT, given).all())
        return [_evidence(row) for row in rows]

    async def get(self, ids: Sequence[EvidenceId]) -> Sequence[Evidence]:
        query = select(evidence).where(evidence.c.id.in_(ids)).order_by(evidence.c.observed_at.desc())
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [_evidence(row) for row in rows]

    async def recent(self, subject: Subject, limit: int) -> Sequence[Evidence]:
        query = (
            select(evidence)
            .where(evidence.c.subject_kind == subject.kind.value, evidence.c.subject_id == subject.id)
            .order_by(evidence.c.observed_at.desc())
            .limit(limit)
        )
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [_evidence(row) for row in rows]


class FindingWrites:
    """Implements ports.platform.units.FindingWrites."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def put(self, finding: Finding) -> None:
        row = {
            "code": finding.code,
            "subject_kind": finding.subject.kind.value,
            "subject_id": finding.subject.id,
            "severity": finding.severity.value,
            "found_at": finding.found_at,
            "closed_at": None,
            "value": dump(finding),
        }

        def apply(connection: Connection) -> None:
            statement = upsert(connection, findings)
            fresh = {name: statement.excluded[name] for name in ("severity", "found_at", "closed_at", "value")}
            key = ["code", "subject_kind", "subject_id"]
            connection.execute(statement.on_conflict_do_update(index_elements=key, set_=fresh), row)

        self._unit.change(apply)


class FindingReads:
    """Implements ports.platform.stores.FindingReads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, subject: Subject | None, limit: int) -> Sequence[Finding]:
        query = select(findings.c.value).where(findings.c.closed_at.is_(None))
        if subject is not None:
            query = query.where(
                findings.c.subject_kind == subject.kind.value,
                findings.c.subject_id == subject.id,
            )
        query = query.order_by(findings.c.found_at.desc()).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [load(row.value, Finding) for row in rows]


def _row(fact: Evidence) -> dict[str, Any]:
    return {
        "id": fact.id,
        "subject_kind": fact.subject.kind.value,
        "subject_id": fact.subject.id,
        "kind": fact.kind,
        "source": fact.source,
        "trust": fact.trust.value,
        "observed_at": fact.observed_at,
        "received_at": fact.received_at,
        "fresh_for_s": None if fact.fresh_for is None else fact.fresh_for.total_seconds(),
        "count": fact.count,
        "body": dump(fact.body),
    }


def _evidence(row: Row[Any]) -> Evidence:
    return Evidence(
        id=EvidenceId(row.id),
        kind=row.kind,
        subject=Subject(SubjectKind(row.subject_kind), row.subject_id),
        source=row.source,
        trust=Trust(row.trust),
        observed_at=row.observed_at,
        received_at=row.received_at,
        fresh_for=None if row.fresh_for_s is None else timedelta(seconds=row.fresh_for_s),
        count=row._mapping["count"],
        body=load(row.body, dict[str, Fact]),
    )
