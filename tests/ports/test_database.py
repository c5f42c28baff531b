"""The database itself: nothing is lost, a refused unit takes no neighbour with it, and an old schema comes up to date."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection, Table, create_engine, inspect, text

from bastide.adapters.sql.database import Database, Unit
from bastide.adapters.sql.migrate import NewerDatabase, migrate, revisions, script
from bastide.adapters.sql.schema import metadata
from bastide.core.error import Conflict, Unavailable


def counting(connection: Connection) -> None:
    """Reads, and writes what it read plus one: loses updates wherever two transactions overlap."""
    value = connection.execute(text("select count from evidence where id = 'counter'")).scalar_one()
    connection.execute(text("update evidence set count = :value where id = 'counter'"), {"value": value + 1})


def make_counter(connection: Connection) -> None:
    connection.execute(
        text(
            "insert into evidence (id, subject_kind, subject_id, kind, source, trust, observed_at, received_at, count, body)"
            " values ('counter', 'device', 'x', 'k', 's', 'passive', 0, 0, 0, '{}')"
        )
    )


def count(connection: Connection) -> int:
    return int(connection.execute(text("select count from evidence where id = 'counter'")).scalar_one())


async def written(database: Database, *changes: object) -> None:
    unit = Unit()
    for change in changes:
        unit.change(change)  # type: ignore[arg-type]
    await database.write(unit)


async def test_concurrent_increments_are_all_there(database: Database) -> None:
    await written(database, make_counter)
    await asyncio.gather(*(written(database, counting) for _ in range(160)))
    assert await database.read(count) == 160


async def test_a_refused_unit_takes_none_of_its_neighbours_with_it(database: Database) -> None:
    def refuse(_: Connection) -> None:
        raise Conflict("somebody was faster")

    await written(database, make_counter)
    units = [written(database, counting) if n % 3 else written(database, counting, refuse) for n in range(60)]
    results = await asyncio.gather(*units, return_exceptions=True)
    assert [isinstance(result, Conflict) for result in results] == [n % 3 == 0 for n in range(60)]
    assert await database.read(count) == 40


async def test_the_same_row_added_twice_is_a_conflict_for_the_second_only(database: Database) -> None:
    results = await asyncio.gather(
        written(database, make_counter), written(database, make_counter), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["Conflict", "NoneType"]
    assert await database.read(count) == 0


async def test_the_write_ahead_log_is_on_before_anybody_can_read(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    engine = create_engine(f"sqlite:///{path}")
    migrate(engine)
    engine.dispose()
    opened = Database.open(f"sqlite:///{path}")
    raw = sqlite3.connect(path)
    assert raw.execute("pragma journal_mode").fetchone() == ("wal",)
    raw.close()
    await opened.close()


async def test_a_write_that_the_store_cannot_make_says_so_and_later_ones_work(database: Database) -> None:
    with pytest.raises(Unavailable, match="could not write"):
        await written(database, lambda connection: connection.execute(text("insert into no_such_table values (1)")))
    await written(database, make_counter)
    assert await database.read(count) == 0


async def test_a_reader_sees_one_snapshot_and_cannot_write(database: Database) -> None:
    def write(connection: Connection) -> None:
        make_counter(connection)

    await database.read(write)
    with pytest.raises(Exception, match=r"[Nn]o row"):
        await database.read(count)


def _columns(table: Table) -> set[str]:
    return {column.name for column in table.columns}


async def test_the_migrations_make_what_the_tables_say(database: Database) -> None:
    def tables(connection: Connection) -> dict[str, set[str]]:
        inspector = inspect(connection)
        names = [name for name in inspector.get_table_names() if name != "alembic_version"]
        return {name: {column["name"] for column in inspector.get_columns(name)} for name in names}

    assert await database.read(tables) == {table.name: _columns(table) for table in metadata.sorted_tables}


def test_an_older_database_is_upgraded_with_what_it_holds(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'old.db'}")
    assert migrate(engine, "0001_state") == (None, "0001_state")
    with engine.begin() as connection:
        make_counter(connection)
    before, after = migrate(engine)
    assert (before, after) == ("0001_state", script().get_current_head())
    with engine.connect() as connection:
        assert count(connection) == 0
    engine.dispose()


def test_the_files_names_say_the_order_that_alembic_finds() -> None:
    assert list(revisions()) == [step.revision for step in reversed(list(script().walk_revisions()))]


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    engine = create_engine(f"sqlite:///{path}")
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '9999_future'"))
    with pytest.raises(NewerDatabase, match="newer Bastide"):
        migrate(engine)
    engine.dispose()
    raw = sqlite3.connect(path)
    assert raw.execute("select version_num from alembic_version").fetchone() == ("9999_future",)
    raw.close()
