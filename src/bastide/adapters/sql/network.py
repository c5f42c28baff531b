"""Sites' networks, the network part of profiles with its proposals and modes, and rulings about single flows."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, String, Table, and_, bindparam, or_, select

from bastide.adapters.sql.database import Database, Unit
from bastide.adapters.sql.evidence import upsert
from bastide.adapters.sql.schema.network import modes, proposals, reaches, rulings, site_networks
from bastide.core.device import Device
from bastide.core.ids import DeviceId, ProfileName, SiteName
from bastide.core.mode import Over, Setting, subject_of
from bastide.core.plan import NetworkMode
from bastide.core.proposal import Origin, Proposal, ProposalState
from bastide.core.ruling import Ruling
from bastide.ports.platform.network import Reach, SiteNetwork


class NetworkWrites:
    """Implements ports.platform.network.NetworkWrites."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def put_site(self, site: SiteNetwork) -> None:
        self._put(site_networks, asdict(site), "site")

    def put_reach(self, reach: Reach) -> None:
        self._put(reaches, asdict(reach), "profile")

    def put_ruling(self, ruling: Ruling) -> None:
        self._put(rulings, asdict(ruling), "id")

    def put_mode(self, setting: Setting) -> None:
        self._put(modes, asdict(setting), "over", "name")

    def put_proposal(self, proposal: Proposal) -> None:
        self._put(proposals, asdict(proposal) | {"told": json.dumps(proposal.told)}, "id")

    def _put(self, table: Table, row: dict[str, Any], *keys: str) -> None:
        def apply(connection: Connection) -> None:
            statement = upsert(connection, table)
            newer = {name: statement.excluded[name] for name in row if name not in keys}
            connection.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=newer), row)

        self._unit.change(apply)


_MODES = select(modes).where(modes.c.ended_at.is_(None)).order_by(modes.c.over, modes.c.name)
_MODES_OVER = _MODES.where(
    or_(*(and_(modes.c.over == over.value, modes.c.name == bindparam(over.value, type_=String)) for over in Over))
)


class NetworkReads:
    """Implements ports.platform.network.NetworkReads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def site(self, site: SiteName) -> SiteNetwork | None:
        found = await self._rows(select(site_networks).where(site_networks.c.site == site))
        return SiteNetwork(**found[0]._mapping) if found else None

    async def sites(self) -> Sequence[SiteNetwork]:
        found = await self._rows(select(site_networks).order_by(site_networks.c.site))
        return [SiteNetwork(**row._mapping) for row in found]

    async def reach(self, profile: ProfileName) -> Reach | None:
        found = await self._rows(select(reaches).where(reaches.c.profile == profile))
        return Reach(**found[0]._mapping) if found else None

    async def reaches(self) -> Sequence[Reach]:
        found = await self._rows(select(reaches).order_by(reaches.c.profile))
        return [Reach(**row._mapping) for row in found]

    async def rulings(self, now: datetime, device: DeviceId | None = None, limit: int = 1000) -> Sequence[Ruling]:
        held = rulings.c.ended_at.is_(None) & or_(rulings.c.until.is_(None), rulings.c.until > now)
        query = select(rulings).where(held).order_by(rulings.c.at.desc(), rulings.c.id).limit(limit)
        if device is not None:
            query = query.where(rulings.c.device == device)
        return [Ruling(**row._mapping) for row in await self._rows(query)]

    async def allowances(self, now: datetime, device: DeviceId | None = None, limit: int = 10_000) -> Sequence[Ruling]:
        query = select(rulings).where(rulings.c.until > now).order_by(rulings.c.at.desc(), rulings.c.id).limit(limit)
        if device is not None:
            query = query.where(rulings.c.device == device)
        return [Ruling(**row._mapping) for row in await self._rows(query)]

    async def modes(self, device: Device | None = None) -> Sequence[Setting]:
        if device is None:
            return [_setting(row) for row in await self._rows(_MODES)]
        given = {over.value: subject_of(over, device) for over in Over}
        rows = await self._database.read(lambda connection: connection.execute(_MODES_OVER, given).all())
        return [_setting(row) for row in rows]

    async def proposals(self, profile: ProfileName | None = None, limit: int = 200) -> Sequence[Proposal]:
        query = select(proposals).order_by(proposals.c.at.desc(), proposals.c.id).limit(limit)
        if profile is not None:
            query = query.where(proposals.c.profile == profile)
        return [_proposal(row) for row in await self._rows(query)]

    async def proposal(self, id: str) -> Proposal | None:
        found = await self._rows(select(proposals).where(proposals.c.id == id))
        return _proposal(found[0]) if found else None

    async def _rows(self, query: Any) -> Sequence[Row[Any]]:
        return await self._database.read(lambda connection: connection.execute(query).all())


def _setting(row: Row[Any]) -> Setting:
    values = dict(row._mapping)
    return Setting(**values | {"over": Over(values["over"]), "mode": NetworkMode(values["mode"])})


def _proposal(row: Row[Any]) -> Proposal:
    values = dict(row._mapping)
    values |= {"origin": Origin(values["origin"]), "state": ProposalState(values["state"])}
    return Proposal(**values | {"told": tuple(json.loads(values["told"]))})
