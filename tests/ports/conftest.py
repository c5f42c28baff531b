"""One suite over the fakes and the real adapters: what a fake promises is what the real one does."""

import itertools
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from bastide.adapters.sql.database import Database
from bastide.adapters.sql.migrate import migrate
from bastide.adapters.sql.units import SQLStores, SQLUnitsOfWork
from bastide.core.audit import Record
from bastide.ports.platform.catalogue import CatalogueReads
from bastide.ports.platform.stores import Stores
from bastide.ports.platform.units import UnitsOfWork
from bastide.testing import FakeClock, MemorySigner, MemoryState, SequentialIds
from tests.ports.ledgers import Ledger, ledger_over
from tests.ports.postgresql import Cluster, cluster

_number = itertools.count()


def next_number() -> int:
    """For the name of a database of a test's own."""
    return next(_number)


@dataclass(frozen=True, slots=True)
class State:
    """What each implementation is to the suite."""

    units: UnitsOfWork
    stores: Stores
    catalogue: CatalogueReads
    on_committed: Callable[[Callable[[Sequence[Record]], None]], None]


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql: Cluster) -> str:
    """The name of a database with the schema, to copy from."""
    _migrate(postgresql.create("migrated"))
    return "migrated"


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "state.db"
    _migrate(f"sqlite:///{path}")
    return path


def _migrate(url: str) -> None:
    engine = create_engine(url)
    migrate(engine)
    engine.dispose()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ids() -> SequentialIds:
    return SequentialIds()


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database with the schema."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "state.db")
        url = f"sqlite:///{tmp_path / 'state.db'}"
    else:
        template = request.getfixturevalue("migrated_postgresql")
        url = request.getfixturevalue("postgresql").create(f"t{next(_number)}", template)
    opened = Database.open(url)
    yield opened
    await opened.close()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def state(
    request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock, ids: SequentialIds
) -> AsyncIterator[State]:
    if request.param == "memory":
        memory = MemoryState(clock, ids)
        yield State(memory.units, memory, memory.catalogue, memory.on_committed)
        return
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "state.db")
        url = f"sqlite:///{tmp_path / 'state.db'}"
    else:
        template = request.getfixturevalue("migrated_postgresql")
        url = request.getfixturevalue("postgresql").create(f"t{next(_number)}", template)
    database = Database.open(url)
    stores = SQLStores(database)
    yield State(SQLUnitsOfWork(database, clock, ids), stores, stores.catalogue, database.on_committed)
    await database.close()


@pytest.fixture
async def ledger(database: Database, ids: SequentialIds, clock: FakeClock) -> AsyncIterator[Ledger]:
    """An empty ledger."""
    made = ledger_over(database, MemorySigner(clock), ids, clock)
    yield made
    await made.tree.close()
