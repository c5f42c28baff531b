"""The ledger: durable appends, writers that wait, integration, and proofs in trees of 10 k, 1 M and 10 M records.

`.venv/bin/python bench/ledger.py [--quick] [--database-url URL] [--folder PATH]`

Everything goes through the real adapter: units of work, group commit, fsync (SQLite: WAL, synchronous=FULL). The peer is a
bare SQLite table with the same bytes and the same fsync through the standard library, with no keys, no hashes, no state.
"""

import argparse
import asyncio
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bastide.adapters.clock import RandomIds, SystemClock
from bastide.adapters.sql.database import Database, Unit
from bastide.adapters.sql.ledger_reads import LedgerReads, tiles_of
from bastide.adapters.sql.ledger_tree import SQLLedgerTree, _replace_tiles
from bastide.adapters.sql.migrate import migrate
from bastide.adapters.sql.units import SQLStores, SQLUnitsOfWork
from bastide.controller.collector import tune
from bastide.core.ids import DeviceId
from bastide.core.merkle import HASH_BYTES, includes
from bastide.flows.sequence_ledger import Sequencer
from bastide.governance.audit.tree import Edge, grow, inclusion
from bastide.testing import FakeClock, MemorySigner
from bench._machine import facts
from tests.ports import values

UNIT = 5_000
IN_FLIGHT = 8
WRITERS = 64
DEVICES = 10_000


def _body(number: int) -> dict[str, object]:
    return {
        "generation": number,
        "standing": "quarantined",
        "because": "three denied publishes within a minute",
        "point": "broker",
    }


def _subject(number: int) -> str:
    return f"device:d-{number * 7919 % DEVICES:020}"


async def appends(database: Database, count: int, tree: Sequencer | None) -> tuple[float, float]:
    """Records a second that are durable, and CPU microseconds for each; with the tree growing meanwhile where one is given."""
    units = SQLUnitsOfWork(database, SystemClock(), RandomIds())

    async def unit(first: int) -> None:
        async with units("system:bench") as work:
            for number in range(first, first + UNIT):
                work.ledger.record("enforcement:plan:intended", _subject(number), _body(number))

    integrating = asyncio.create_task(tree.run()) if tree is not None else None
    if tree is not None:
        database.on_committed(tree.wake)
    began, cpu = time.perf_counter(), time.process_time()
    waiting: set[asyncio.Task[None]] = set()
    for first in range(0, count, UNIT):
        if len(waiting) == IN_FLIGHT:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        waiting.add(asyncio.create_task(unit(first)))
    await asyncio.gather(*waiting)
    rate = count / (time.perf_counter() - began)
    spent = (time.process_time() - cpu) / count * 1e6
    if integrating is not None:
        integrating.cancel()
        await asyncio.gather(integrating, return_exceptions=True)
    return rate, spent


def bare_appends(path: Path, count: int) -> float:
    """The peer: the same bytes in the same units into a bare table of SQLite."""
    body = b"x" * 330
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE log (position INTEGER PRIMARY KEY, body BLOB)")
        began = time.perf_counter()
        for first in range(0, count, UNIT):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO log VALUES (?, ?)", [(n, body) for n in range(first, first + UNIT)])
            connection.execute("COMMIT")
        return count / (time.perf_counter() - began)


async def writers(database: Database, seconds: float, sequencer: Sequencer) -> tuple[float, list[float]]:
    """Units a second and each one's time, with 64 writers that each change a device and record it, the tree growing meanwhile."""
    units, stores = SQLUnitsOfWork(database, SystemClock(), RandomIds()), SQLStores(database)
    ids = [DeviceId(f"d-{chr(97 + number // 26)}{chr(97 + number % 26)}{'a' * 18}") for number in range(WRITERS)]
    async with units("system:bench") as work:
        for device in ids:
            work.devices.add(replace(values.device(), id=device))
    times: list[float] = []
    ends = time.perf_counter() + seconds

    async def writer(device_id: DeviceId) -> None:
        device = await stores.devices.get(device_id)
        while time.perf_counter() < ends:
            began = time.perf_counter()
            async with units("system:bench") as work:
                work.devices.put(device)
                work.ledger.record("device:changed", f"device:{device_id}", _body(device.version))
            times.append(time.perf_counter() - began)
            device = replace(device, version=device.version + 1)

    database.on_committed(sequencer.wake)
    running = asyncio.create_task(sequencer.run())
    await asyncio.gather(*map(writer, ids))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return len(times) / seconds, sorted(times)


async def integration(sequencer: Sequencer) -> tuple[int, float]:
    """How many records were waiting, and how many a second were brought under a stored checkpoint."""
    began, before = time.perf_counter(), -1
    first = 0
    while (checkpoint := await sequencer.integrate()) is not None:
        first = checkpoint.size if before < 0 else first
        before = checkpoint.size
    return before, before / (time.perf_counter() - began)


def bare_writers(path: Path, seconds: float) -> float:
    """The peer: one bare INSERT and one fsync at a time, as 64 writers without group commit would share them."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE one (position INTEGER PRIMARY KEY, body BLOB)")
        count, ends = 0, time.perf_counter() + seconds
        while time.perf_counter() < ends:
            connection.execute("INSERT INTO one (body) VALUES (?)", (b"x" * 330,))
            count += 1
        return count / seconds


async def proofs(database: Database, sizes: list[int]) -> None:
    """Builds trees through the tile store from random leaf hashes, and proves 200 leaves at each size."""
    edge, step = Edge(), 1 << 16
    for size in sizes:
        began = time.perf_counter()
        while edge.size < size:
            count = min(step, size - edge.size)
            random = os.urandom(count * HASH_BYTES)
            leaves = [random[at : at + HASH_BYTES] for at in range(0, len(random), HASH_BYTES)]
            edge, tiles = grow(edge, leaves)
            rows = [{"shard": 0, "level": t.level, "number": t.number, "hashes": t.hashes} for t in tiles]
            unit = Unit()
            unit.change(lambda connection, rows=rows: _replace_tiles(connection, rows))  # type: ignore[misc]
            await database.write(unit)
        built = time.perf_counter() - began
        times, reads, lengths = [], [], []
        for number in range(200):
            index = number * 7919 * 7919 % size

            def prove(connection: object, index: int = index, size: int = size) -> tuple[list[bytes], int]:
                read, tile = 0, tiles_of(connection)  # type: ignore[arg-type]

                def counted(level: int, place: int) -> bytes:
                    nonlocal read
                    read += 1
                    return tile(level, place)

                return inclusion(index, size, counted), read

            began = time.perf_counter()
            path, read = await database.read(prove)
            times.append(time.perf_counter() - began)
            leaf = (await database.read(lambda c, i=index: tiles_of(c)(0, i >> 8)))[index % 256 * 32 :][:32]  # type: ignore[misc]
            assert includes(leaf, index, size, path, edge.root)
            reads.append(read)
            lengths.append(len(path) * HASH_BYTES)
        times.sort()
        print(
            f"  {size:>10,} records: proof {max(lengths)} bytes, {max(reads)} tiles read, median {median(times) * 1e3:.2f} ms, "
            f"p99 {times[int(len(times) * 0.99)] * 1e3:.2f} ms (tree built in {built:.1f} s)"
        )


async def main() -> None:
    options = argparse.ArgumentParser(prog="bench/ledger.py")
    options.add_argument("--quick", action="store_true")
    options.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="on a disk whose fsync is real")
    options.add_argument("--database-url", default="", help="an empty PostgreSQL database, instead of SQLite")
    given = options.parse_args()
    count, seconds = (50_000, 3.0) if given.quick else (500_000, 10.0)
    sizes = [10_000, 200_000] if given.quick else [10_000, 1_000_000, 10_000_000]
    print(f"{facts('sqlalchemy', 'msgspec')}, SQLite {sqlite3.sqlite_version}")
    print(f"load before: {', '.join(f'{load:.1f}' for load in os.getloadavg())} (1, 5, 15 minutes)")
    tune()  # as the controller does
    folder = Path(tempfile.mkdtemp(prefix="bastide-bench-", dir=given.folder))
    opened: list[Database] = []

    def fresh(name: str) -> Database:
        database = Database.open(given.database_url or f"sqlite:///{folder / name}.db")
        if not opened or not given.database_url:
            migrate(database.engine)
        opened.append(database)
        return database

    def sequencer(database: Database) -> Sequencer:
        return Sequencer(
            SQLLedgerTree(database), MemorySigner(FakeClock()), "bastide/bench", LedgerReads(database).announce
        )

    try:
        bare = bare_appends(folder / "bare.db", count)
        rate, spent = await appends(fresh("alone"), count, None)
        print(
            f"durable appends, units of {UNIT:,}, {IN_FLIGHT} in flight, subjects over {DEVICES:,} devices, {count:,} records:"
        )
        print(
            f"  ours {rate:,.0f}/s ({spent:.1f} us CPU a record); bare SQLite table {bare:,.0f}/s; ratio {rate / bare:.2f}"
        )
        waiting, speed = await integration(sequencer(opened[-1]))
        print(f"  integration of {waiting:,} waiting records: {speed:,.0f}/s")
        if not given.database_url:
            both, _ = await appends((database := fresh("both")), count, sequencer(database))
            print(f"  ours with the tree growing meanwhile {both:,.0f}/s")
        database = fresh("writers")
        bare_one = bare_writers(folder / "one.db", seconds / 2)
        units, times = await writers(database, seconds, sequencer(database))
        print(f"{WRITERS} writers, each changes a device and records it, {seconds:g} s, the tree growing meanwhile:")
        print(
            f"  {units:,.0f} units/s, median {median(times) * 1e3:.1f} ms, p99 {times[int(len(times) * 0.99)] * 1e3:.1f} ms, "
            f"worst {times[-1] * 1e3:.1f} ms; bare inserts one by one {bare_one:,.0f}/s; ratio {units / bare_one:.2f}"
        )
        if not given.database_url:  # which has a tree of its own already
            print("inclusion proofs from the tile store:")
            await proofs(fresh("proofs"), sizes)
    finally:
        for database in opened:
            await database.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main())
