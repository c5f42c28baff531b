"""A full disk while Bastide runs: nothing acknowledged is lost, and all goes on by itself when there is room again."""

import time
from pathlib import Path

import pytest

from bastide.cli.disk import FULL, DiskWatch
from bastide.testing.mqtt_load import Load
from tests.peers import require_root
from tests.processes.bastide import Bastide, until
from tests.processes.disk import fill, small_disk
from tests.processes.faults import FaultRun


@pytest.mark.timeout(200)
def test_a_disk_that_was_full_costs_nothing_acknowledged_and_no_hand(home: Path) -> None:
    require_root("to mount a small file system")
    with small_disk(home / "disk", 400 * 1024) as disk:
        bastide = Bastide(disk / "data")
        bastide.start()
        ballast = disk / "ballast"

        def full_for_a_while(load: Load, began: float) -> None:
            assert until(lambda: load.acknowledged > 100, 30)
            before = -1
            deadline = time.monotonic() + 30
            while load.acknowledged != before and time.monotonic() < deadline:
                before = load.acknowledged
                for _ in range(4):
                    fill(ballast)  # what was freed meanwhile (a merged file, a rotated log) is taken too
                    time.sleep(0.25)
            assert load.acknowledged == before, "the disk is full, and messages are still acknowledged"
            assert set(bastide.children()) >= {"signer", "broker", "controller"}
            ballast.unlink()
            assert until(lambda: load.acknowledged > before + 100, 60), bastide.logs()

        try:
            report = FaultRun(bastide, home, seed=0, rate=300, devices=5).under_load(full_for_a_while)
            print(report)
            assert (report.lost, report.doubled) == ([], []), bastide.logs()
            assert report.verified.startswith("audit verify: status 0"), report.verified
            assert len(report.recovered) == 3
            assert bastide.said("is full: nothing new is acknowledged")
        finally:
            if bastide.running:
                bastide.stop()


class Restarts:
    def __init__(self) -> None:
        self.count = 0
        self.said: list[str] = []

    def __call__(self) -> None:
        self.count += 1


def test_the_broker_is_started_anew_once_when_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, restarts = tmp_path / "server.log", Restarts()
    log.write_bytes(b"of an earlier life: " + FULL + b"\n")
    watch = DiskWatch(log, restarts, restarts.said.append)
    monkeypatch.setattr(watch, "_room", lambda: 0)
    watch.look()
    assert restarts.said == []
    with log.open("ab") as file:
        file.write(b"[7] [ERR] JetStream failed to store a msg: " + FULL + b"\n")
    for _ in range(3):
        watch.look()
    assert (restarts.count, len(restarts.said)) == (0, 1)
    monkeypatch.setattr(watch, "_room", lambda: 1 << 30)
    for _ in range(3):
        watch.look()
    assert (restarts.count, len(restarts.said)) == (1, 2)


def test_a_rotated_log_is_read_from_its_beginning(tmp_path: Path) -> None:
    log, restarts = tmp_path / "server.log", Restarts()
    log.write_bytes(b"x" * 5000)
    watch = DiskWatch(log, restarts, restarts.said.append)
    log.write_bytes(b"[7] [ERR] " + FULL + b"\n")
    watch.look()
    assert restarts.count == 1
