"""Whatever is asked of them in whatever order, the state in memory and the one in SQLite answer alike."""

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bastide.adapters.sql.database import Database
from bastide.adapters.sql.units import SQLStores, SQLUnitsOfWork
from bastide.core.error import BastideError
from bastide.core.evidence import Subject, SubjectKind
from bastide.core.ids import DeviceId
from bastide.core.plan import Point
from bastide.core.standing import Standing
from bastide.ports.platform.stores import DeviceFilter, Stores
from bastide.ports.platform.units import UnitOfWork, UnitsOfWork
from bastide.testing import FakeClock, MemoryState, SequentialIds
from bastide.testing.clock import EPOCH
from tests.ports import values

ids = SequentialIds("alike")
DEVICES = [DeviceId(ids.mint("d")) for _ in range(3)]
SECOND = timedelta(seconds=1)

device = st.sampled_from(DEVICES)
small = st.integers(0, 3)
Act = tuple[Any, ...]
act: st.SearchStrategy[Act] = st.one_of(
    st.tuples(st.just("add"), device, st.sampled_from(Standing)),
    st.tuples(st.just("put"), device, small, st.sampled_from(Standing), st.none() | small),
    st.tuples(st.just("seen"), device, small),
    st.tuples(st.just("evidence"), device, small, st.sampled_from(["a", "a.b", "c"])),
    st.tuples(st.just("finding"), device, small, st.sampled_from(["x:y", "x:z"])),
    st.tuples(st.just("plan"), device, st.integers(1, 4)),
    st.tuples(st.just("applied"), device, st.integers(1, 4), st.sampled_from(Point), st.sampled_from(["", "away"])),
    st.tuples(st.just("decision"), device, small, st.sampled_from(Standing)),
    st.tuples(st.just("waiver"), st.sampled_from(["w-1", "w-2"]), small, small),
)
units_of_acts = st.lists(st.lists(act, min_size=1, max_size=4), min_size=1, max_size=12)


def do(work: UnitOfWork, one: Act) -> None:
    match one:
        case "add", id_, standing:
            work.devices.add(values.device(id_, standing=standing))
        case "put", id_, version, standing, seen:
            last = None if seen is None else EPOCH + seen * SECOND
            work.devices.put(values.device(id_, standing=standing, version=version, last_seen=last))
        case "seen", id_, at:
            work.devices.seen({id_: EPOCH + at * SECOND})
        case "evidence", id_, number, kind:
            fact = values.evidence(number, Subject(SubjectKind.DEVICE, id_), kind)
            work.evidence.add([replace(fact, id=type(fact.id)(f"e-{number}-{kind}-{id_}"[:32]))])
        case "finding", id_, at, code:
            work.findings.put(values.finding(code, Subject(SubjectKind.DEVICE, id_), EPOCH + at * SECOND))
        case "plan", id_, generation:
            work.plans.put(values.plan(id_, generation))
        case "applied", id_, generation, point, error:
            work.plans.applied(values.outcome(point, generation, error, id_))
        case "decision", id_, at, standing:
            work.decisions.put(values.decision(id_, EPOCH + at * SECOND, standing))
        case "waiver", id_, starts, length:
            work.waivers.put(values.waiver(id_, EPOCH + starts * SECOND, EPOCH + (starts + length) * SECOND))


async def story(units: UnitsOfWork, stores: Stores, acts: Sequence[Sequence[Act]]) -> list[Any]:
    """What each unit came to, and all that can be read afterwards."""
    told: list[Any] = []
    for unit in acts:
        try:
            async with units("test") as work:
                for one in unit:
                    do(work, one)
            told.append("done")
        except BastideError as error:
            told.append(type(error).__name__)
    told.append(list(await stores.devices.list(DeviceFilter())))
    told.append(await stores.devices.count_by_standing())
    for id_ in DEVICES:
        subject = Subject(SubjectKind.DEVICE, id_)
        told.append(list(await stores.evidence.about(values.device(id_))))
        told.append(sorted(await stores.findings.open(subject, 10), key=lambda each: each.code))
        told.append(await stores.plans.current(id_))
        told.append(list(await stores.plans.outcomes(id_)))
        told.append(list(await stores.decisions.history(id_, EPOCH, 10)))
    told.append(sorted(each.device for each in await stores.plans.unapplied(10)))
    for at in range(4):
        told.append(sorted(each.id for each in await stores.waivers.in_force(EPOCH + at * SECOND)))
    return told


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=units_of_acts)
def test_memory_and_sqlite_tell_the_same_story(migrated_sqlite: Path, acts: list[list[Act]]) -> None:
    async def both() -> tuple[list[Any], list[Any]]:
        memory = MemoryState(FakeClock(), SequentialIds())
        with tempfile.TemporaryDirectory() as home:
            shutil.copy(migrated_sqlite, f"{home}/state.db")
            database = Database.open(f"sqlite:///{home}/state.db")
            try:
                units = SQLUnitsOfWork(database, FakeClock(), SequentialIds())
                real = await story(units, SQLStores(database), acts)
            finally:
                await database.close()
        return await story(memory.units, memory, acts), real

    fake, real = asyncio.run(both())
    assert fake == real
