"""Profiles and device classes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from bastide.adapters.sql.columns import dump, load
from bastide.adapters.sql.database import Database, Unit
from bastide.adapters.sql.evidence import upsert
from bastide.adapters.sql.schema.catalogue import classes, profiles
from bastide.core.error import NotFound
from bastide.core.ids import DeviceClass, OwnerName, ProfileName, SiteName
from bastide.core.profile import Profile
from bastide.ports.platform.catalogue import ClassEntry


class CatalogueWrites:
    """Implements ports.platform.catalogue.CatalogueWrites."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def put_profile(self, profile: Profile, document: str, at: datetime) -> None:
        row = {"name": profile.name, "document": document, "value": dump(profile), "changed_at": at}
        self._put(profiles, row)

    def put_class(self, entry: ClassEntry) -> None:
        row = {
            "name": entry.name,
            "profile": entry.profile,
            "owner": entry.owner,
            "site": entry.site,
            "impact": entry.impact,
            "registered_at": entry.registered_at,
        }
        self._put(classes, row)

    def _put(self, table: Any, row: dict[str, Any]) -> None:
        def apply(connection: Connection) -> None:
            statement = upsert(connection, table)
            newer = {name: statement.excluded[name] for name in row if name != "name"}
            connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=newer), row)

        self._unit.change(apply)


_PROFILE = select(profiles).where(profiles.c.name == bindparam("of"))


class CatalogueReads:
    """Implements ports.platform.catalogue.CatalogueReads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def profile(self, name: ProfileName) -> Profile:
        return load((await self._profile(name)).value, Profile)

    async def document(self, name: ProfileName) -> str:
        return str((await self._profile(name)).document)

    async def profiles(self) -> Sequence[Profile]:
        query = select(profiles.c.value).order_by(profiles.c.name)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [load(row.value, Profile) for row in rows]

    async def device_class(self, name: DeviceClass) -> ClassEntry:
        query = select(classes).where(classes.c.name == name)
        row = await self._database.read(lambda connection: connection.execute(query).first())
        if row is None:
            raise NotFound(f"There is no device class {name!r}. `bastide class list` shows those that there are.")
        return _entry(row)

    async def classes(self) -> Sequence[ClassEntry]:
        query = select(classes).order_by(classes.c.name)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [_entry(row) for row in rows]

    async def _profile(self, name: ProfileName) -> Row[Any]:
        row = await self._database.read(lambda connection: connection.execute(_PROFILE, {"of": name}).first())
        if row is None:
            raise NotFound(f"There is no profile {name!r}. `bastide profile list` shows those that there are.")
        return row


def _entry(row: Row[Any]) -> ClassEntry:
    return ClassEntry(
        name=DeviceClass(row.name),
        profile=ProfileName(row.profile),
        owner=OwnerName(row.owner),
        site=SiteName(row.site),
        impact=row.impact,
        registered_at=row.registered_at,
    )
