"""A backup that is taken while devices enrol and speak, put back on an empty machine."""

import json
import shutil
import threading
from pathlib import Path

import pytest

from bastide.testing.fleet.mqtt import Session
from tests.processes.bastide import Bastide, until
from tests.processes.faults import FaultRun


@pytest.fixture
def bastide(alone: Bastide) -> Bastide:
    """One of its own: it is stopped, and lost."""
    return alone


def test_an_installation_that_burned_goes_on_from_its_backup(bastide: Bastide, home: Path, tmp_path: Path) -> None:
    first, second = FaultRun(bastide, home, seed=0).enrol(2, "backup")
    session = Session(first, "127.0.0.1", bastide.ports["mqtt_port"])
    session.start()
    assert session.connected.wait(10), bastide.logs()
    for number in range(3):
        session.publish(f"devices/{first.device}/telemetry", {"n": number})
    assert until(lambda: any(bastide.data.glob("samples/**/*.parquet"))), "what the device said is in a file"

    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            bastide.run("claim", "create", "--class", "generic")

    writing = threading.Thread(target=busy)
    writing.start()
    secret, out = tmp_path / "passphrase", tmp_path / "town.backup"
    secret.write_text("a passphrase for tests\n")
    try:
        made = bastide.run("backup", "create", str(out), "--passphrase-file", str(secret), "--json")
    finally:
        stop.set()
        writing.join()
    assert made.returncode == 0, made.stderr
    session.stop()
    told = json.loads(made.stdout)
    checked = bastide.run("backup", "check", str(out), "--passphrase-file", str(secret), "--json")
    assert json.loads(checked.stdout)["ledger records"] == told["ledger records"]
    wrong = tmp_path / "wrong"
    wrong.write_text("another passphrase\n")
    assert "does not open" in bastide.run("backup", "check", str(out), "--passphrase-file", str(wrong)).stderr

    bastide.stop()
    shutil.rmtree(bastide.data)
    back = bastide.run("backup", "restore", str(out), "--passphrase-file", str(secret))
    assert back.returncode == 0, back.stderr
    bastide.start()

    devices = {one["id"]: one for one in json.loads(bastide.run("device", "list", "--json").stdout)}
    assert {first.device, second.device} <= set(devices)
    verified = bastide.run("audit", "verify", timeout_s=120)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    again = Session(second, "127.0.0.1", bastide.ports["mqtt_port"])
    again.start()
    assert again.connected.wait(15), bastide.logs()
    again.stop()
    assert any(bastide.data.glob("samples/**/*.parquet"))
    assert not (bastide.data / "root-shares").exists()
