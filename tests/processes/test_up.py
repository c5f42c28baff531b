"""`bastide up` as a person lives with it: the first run, the next ones, and the end."""

import os
import signal
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.processes.bastide import COMMAND, Bastide, environment, until

EVERYBODY = {"signer", "controller", "broker", "ingest"}


def serves(bastide: Bastide) -> bool:
    """True where the console answers over TLS under this installation's root."""
    url = f"https://localhost:{bastide.ports['console_port']}/healthz"
    context = ssl.create_default_context(cafile=bastide.data / "trust" / "root.pem")
    try:
        return httpx.get(url, verify=context, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_the_first_run_makes_everything_and_a_later_one_keeps_it(home: Path) -> None:
    bastide = Bastide(home / "data")
    bastide.start()
    try:
        assert set(bastide.children()) == EVERYBODY
        assert serves(bastide)
        assert bastide.said(f"https://localhost:{bastide.ports['console_port']}/sign-in/link/")
        assert bastide.said(str(bastide.data))
        assert open_to_others(bastide.data) == []
    finally:
        assert bastide.stop(signal.SIGINT) == 0
    assert bastide.children() == {}
    before = {path: path.read_bytes() for path in sorted((bastide.data / "trust").iterdir())}
    token = (bastide.data / "operator.token").read_text()

    bastide.start()
    try:
        assert serves(bastide)
        assert {path: path.read_bytes() for path in sorted((bastide.data / "trust").iterdir())} == before
        assert (bastide.data / "operator.token").read_text() == token
        listed = bastide.run("device", "list", "--json")
        assert (listed.returncode, listed.stderr) == (0, "")
    finally:
        assert bastide.stop(signal.SIGTERM) == 0
    assert bastide.children() == {}
    assert not serves(bastide)


def open_to_others(data: Path) -> list[str]:
    """The folders that others could enter; what is below a closed folder is closed."""
    folders = [data, *(path for path in data.iterdir() if path.is_dir())]
    return [str(folder) for folder in folders if folder.stat().st_mode & 0o077]


def test_a_second_one_on_the_same_data_is_refused_and_does_not_disturb_the_first(bastide: Bastide) -> None:
    ended = subprocess.run(
        [COMMAND, "up"],
        env=environment(bastide.data, Bastide(bastide.data).ports),
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert ended.returncode == 2
    assert "already runs" in ended.stderr
    assert str(bastide.pid) in ended.stderr
    assert set(bastide.children()) == EVERYBODY
    assert serves(bastide)


@pytest.mark.parametrize("victim", ["signer", "broker", "ingest"])
def test_a_child_that_is_killed_is_brought_back(bastide: Bastide, victim: str) -> None:
    pid = bastide.children()[victim]
    said = len(bastide.lines)
    os.kill(pid, signal.SIGKILL)
    assert until(lambda: bastide.children().get(victim, pid) != pid, 30), bastide.logs()
    assert bastide.said(f"The {victim} ended (killed by SIGKILL)", said)
    claim = ("claim", "create", "--class", "thermostat", "--json")
    assert until(lambda: bastide.run(*claim).returncode == 0, 30, 0.5), bastide.logs()
