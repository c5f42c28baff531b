"""kill -9 of any process at any moment loses nothing that was acknowledged.

The full run is part of `make test-long`, and by itself bench/faults.py. BASTIDE_FAULT_SEED repeats a run.
"""

import os
from pathlib import Path

import pytest

from tests.processes.bastide import Bastide
from tests.processes.faults import FaultRun, Report

SEED = int(os.environ.get("BASTIDE_FAULT_SEED", "0")) or None


def nothing_acknowledged_is_lost(home: Path, seed: int, kills: int, mean_pause_s: float, rate: float) -> None:
    bastide = Bastide(home / "data")
    bastide.start()
    run = FaultRun(bastide, home, seed=seed, rate=rate)
    try:
        report = run.run(kills, mean_pause_s)
        print(report)
        hold(report, kills, bastide)
        assert bastide.stop() == 0
        assert bastide.children() == {}
    except BaseException:
        print(run.report)  # the seed and the instants, whatever went wrong
        raise
    finally:
        if bastide.running:
            bastide.stop()


def hold(report: Report, kills: int, bastide: Bastide) -> None:
    assert len(report.kills) == kills
    assert report.acknowledged > 0
    assert report.lost == [], bastide.logs()
    assert report.doubled == [], bastide.logs()
    assert report.verified.startswith("audit verify: status 0"), report.verified
    assert len(report.recovered) == 3


@pytest.mark.timeout(300)
def test_a_few_kills_under_load_lose_nothing_acknowledged(home: Path) -> None:
    # This seed kills each kind of process, the supervisor among them.
    nothing_acknowledged_is_lost(home, SEED or 2, kills=6, mean_pause_s=1.0, rate=1000)


@pytest.mark.long
@pytest.mark.timeout(1500)
def test_fifty_kills_under_2000_messages_a_second_lose_nothing_acknowledged(home: Path) -> None:
    nothing_acknowledged_is_lost(home, SEED or 2026, kills=50, mean_pause_s=3.0, rate=6000)
