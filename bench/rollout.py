"""Preflight and planning of a release for a fleet that lies in a database, and how early a bad release is stopped.

    .venv/bin/python bench/rollout.py [--devices 1000000] [--database-url postgresql://...] [--seeds 20]

First: a table of devices is made (not timed), then read in a stream, judged by preflight and put into rings; the time and the
peak memory of the process are printed. The table is the benchmark's own, with what preflight reads; SQLite, and the PostgreSQL
that is named.

Second: 100,000 simulated devices in virtual time, ten minutes a step; 10 % are offline, 2 % have a flash that fails. A release
that fails on a share of devices goes out by the same rings and the same ramp under three rules: the sequential test of Bastide,
a fixed percentage with a least number of outcomes as fleet managers have it (10 % after 100), and the percentage at the ring's
end. All three are given the same cohorts, in the order in which they began, when half an hour has gone. Outcomes are drawn, not
produced by the boot code. A rule must also let a good release through.
"""

import argparse
import random
import resource
import sqlite3
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bastide.operations.rollout.abort import AbortRule, Cohort, Verdict, Watch, observe
from bastide.operations.rollout.plan import Ramp, Rings
from bastide.operations.rollout.preflight import Hindrance, Installed, Offer, preflight
from bench._machine import facts

NOW = datetime(2026, 11, 26, tzinfo=UTC)
RINGS = Rings((0.01, 0.1, 0.5, 1.0))
OFFER = Offer("3.0", 3, frozenset({"rev-b", "rev-c"}), 8 << 20, "k2", after="2.0", requires={"loader": "1.2"})
COLUMNS = "device, hardware, version, counter, slot_octets, key, key_ends, loader"
FLEET, OFFLINE, FAULTY = 100_000, 0.10, 0.02
STEP = timedelta(minutes=10)

Rule = Callable[[int, int, int, int, bool], bool]
"""Whether to stop: failed and succeeded just now, in the ring so far, and whether the ring has ended."""


def rows(devices: int, seed: int) -> Iterator[tuple[Any, ...]]:
    drawn = random.Random(seed)
    ends = [(NOW + timedelta(days=days)).timestamp() for days in (-1, 400)]
    for number in range(devices):
        yield (
            f"device-{number:07}",
            drawn.choices(("rev-a", "rev-b", "rev-c"), (5, 60, 35))[0],
            drawn.choices(("1.9", "2.0", "2.10", "3.0"), (3, 50, 45, 2))[0],
            drawn.choices((1, 2, 3, 4, None), (30, 50, 18, 1, 1))[0],
            drawn.choices((4 << 20, 8 << 20, 16 << 20), (2, 49, 49))[0],
            drawn.choices(("k1", "k2"), (1, 99))[0],
            drawn.choices(ends, (1, 99))[0],
            drawn.choices(("1.1", "1.2", "1.10"), (2, 49, 49))[0],
        )


def read(found: Any) -> Iterator[Installed]:
    for device, hardware, version, counter, octets, key, ends, loader in found:
        trusted = {key: datetime.fromtimestamp(ends, UTC)}
        yield Installed(device, hardware, version, counter, octets, trusted, {"loader": loader})


def plan(found: Any, named: str) -> None:
    """Preflight and rings over one stream."""
    began = time.perf_counter()
    shares: Counter[int] = Counter()

    def ringed() -> Iterator[Installed]:
        for one in read(found):
            shares[RINGS.ring("bench", one.device)] += 1
            yield one

    told = preflight(ringed(), OFFER, NOW)
    took = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{named}: preflight and rings of {told.devices:,} devices in {took:.1f} s, peak {peak:.0f} MiB")
    hindered = ", ".join(f"{key} {told.hindered.get(key, 0):,}" for key in Hindrance)
    print(f"  ready {told.ready:,} (no way back for {told.no_way_back:,}); {hindered}")
    print(f"  rings: {', '.join(f'{shares[ring]:,}' for ring in sorted(shares))}")


def in_sqlite(devices: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = sqlite3.connect(Path(folder) / "fleet.db")
        base.execute(f"CREATE TABLE fleet ({COLUMNS})")
        base.executemany("INSERT INTO fleet VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows(devices, 1))
        base.commit()
        plan(base.execute(f"SELECT {COLUMNS} FROM fleet"), f"SQLite {sqlite3.sqlite_version}")
        base.close()


def in_postgresql(url: str, devices: int) -> None:
    import psycopg

    with psycopg.connect(url) as base:
        base.execute(
            "CREATE TEMPORARY TABLE fleet (device text, hardware text, version text, counter int, slot_octets bigint,"
            " key text, key_ends float8, loader text)"
        )
        with base.cursor() as cursor, cursor.copy(f"COPY fleet ({COLUMNS}) FROM STDIN") as copy:
            for row in rows(devices, 1):
                copy.write_row(row)
        with base.cursor(name="fleet") as stream:
            stream.itersize = 10_000
            stream.execute(f"SELECT {COLUMNS} FROM fleet")
            plan(stream, f"PostgreSQL {base.info.server_version // 10_000}")


def sequential() -> Rule:
    watch = Watch()

    def stop(failed: int, succeeded: int, _ring_failed: int, _ring_total: int, _ended: bool) -> bool:
        nonlocal watch
        watch = observe(AbortRule(), watch, failed, succeeded)
        return watch.verdict is Verdict.ABORT

    return stop


def fixed() -> Rule:
    return lambda _f, _s, ring_failed, ring_total, _ended: ring_total >= 100 and ring_failed / ring_total > 0.10


def at_the_end() -> Rule:
    return lambda _f, _s, ring_failed, ring_total, ended: ended and ring_total > 0 and ring_failed / ring_total > 0.10


def simulate(bad: float, rule: Rule, seed: int) -> tuple[int | None, int, int]:
    """The ring in which it was stopped (None: it was not), how many devices began, how many of them failed."""
    drawn = random.Random(seed)
    rings: list[list[int]] = [[] for _ in RINGS.shares]
    for number in range(FLEET):
        rings[RINGS.ring(str(seed), str(number))].append(number)
    ramp = Ramp(5, STEP, 1.2)
    now, began, failures = NOW, 0, 0
    for ring, members in enumerate(rings):
        online = sum(drawn.random() >= OFFLINE for _ in members)
        waiting: deque[Cohort] = deque()
        ring_began = now
        started = ring_failed = ring_total = 0
        while started < online or waiting:
            batch = ramp.allowed(now - ring_began, online) - started
            if batch:
                lost = sum(drawn.random() < FAULTY or drawn.random() < bad for _ in range(batch))
                # What fails is silent.
                waiting.append(Cohort(batch, batch - lost, 0, now + 3 * STEP))
                began, failures, started = began + batch, failures + lost, started + batch
            while waiting and now >= waiting[0].deadline and (told := waiting[0].settled(now)) is not None:
                waiting.popleft()
                failed, succeeded = told
                ring_failed, ring_total = ring_failed + failed, ring_total + failed + succeeded
                if rule(failed, succeeded, ring_failed, ring_total, started == online and not waiting):
                    return ring, began, failures
            now += STEP
    return None, began, failures


def compare(seeds: int) -> None:
    rules = {"sequential test": sequential, "10 % after 100": fixed, "10 % at ring's end": at_the_end}
    print(f"\nsimulated: {FLEET:,} devices, {OFFLINE:.0%} offline, {FAULTY:.0%} faulty flash, seeds 0 to {seeds - 1}")
    print(
        "release fails on | rule | stopped in ring 1, later, never | devices touched, median (worst) | failed, median"
    )
    for bad in (0.0, 0.15, 0.30, 1.0):
        for name, made in rules.items():
            ends = [simulate(bad, made(), seed) for seed in range(seeds)]
            first = sum(end[0] == 0 for end in ends)
            never = sum(end[0] is None for end in ends)
            touched = [end[1] / FLEET for end in ends]
            print(
                f"{bad:4.0%} | {name} | {first}, {seeds - first - never}, {never} | {median(touched):.3%} "
                f"({max(touched):.3%}) | {median(end[2] for end in ends):,.0f}"
            )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--devices", type=int, default=1_000_000)
    options.add_argument("--database-url", default="", help="a PostgreSQL database, beside SQLite")
    options.add_argument("--seeds", type=int, default=20)
    given = options.parse_args()
    print(facts())
    in_sqlite(given.devices)
    if given.database_url:
        in_postgresql(given.database_url, given.devices)
    compare(given.seeds)


if __name__ == "__main__":
    main()
