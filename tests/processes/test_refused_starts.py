"""What `bastide up` refuses, each with one clear sentence and exit status 2, before anything is started or changed."""

import json
import os
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.peers import require_root
from tests.processes.bastide import COMMAND, Bastide, environment, until
from tests.processes.disk import fill, small_disk


def refused(data: Path, *options: str, **ports: int) -> str:
    """The sentence that `bastide up` refuses with."""
    bastide = Bastide(data)
    ended = subprocess.run(
        [COMMAND, "up", *options],
        env=environment(data, bastide.ports | ports),
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert ended.returncode == 2, (ended.stdout, ended.stderr)
    assert "Traceback" not in ended.stderr
    lines = ended.stderr.splitlines()
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith("bastide: ")
    assert until(lambda: not bastide.children(), 5), "children were left behind"
    return lines[0]


def test_a_port_in_use_is_named_with_the_option_that_names_another(home: Path) -> None:
    def try_it(name: str) -> str:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            sentence = refused(home / name, **{name: port})
        assert str(port) in sentence
        return sentence

    names = ["console_port", "device_port", "mqtt_port", "nats_port"]
    with ThreadPoolExecutor() as together:  # each waits a while for the port to become free
        for name, sentence in zip(names, together.map(try_it, names), strict=True):
            assert f"--{name.replace('_', '-')}" in sentence


def test_a_directory_that_others_may_enter_is_refused_and_left_alone(home: Path) -> None:
    data = home / "data"
    made(data)
    data.chmod(0o755)
    sentence = refused(data)
    assert "chmod 700" in sentence
    assert data.stat().st_mode & 0o777 == 0o755


def test_a_directory_that_holds_other_things_is_refused_and_left_alone(home: Path) -> None:
    data = home / "data"
    data.mkdir(mode=0o700)
    (data / "thesis.txt").write_text("years of work")
    assert "not made by Bastide" in refused(data)
    assert [each.name for each in data.iterdir()] == ["thesis.txt"]


def test_a_directory_that_a_newer_release_made_is_refused_and_left_alone(home: Path) -> None:
    data = home / "data"
    made(data)
    marker = data / "bastide.json"
    marker.write_text(json.dumps({"format": 999}))
    assert "newer" in refused(data)
    assert json.loads(marker.read_text()) == {"format": 999}


def test_a_file_where_the_directory_should_be_is_refused(home: Path) -> None:
    data = home / "data"
    data.write_text("")
    assert str(data) in refused(data)


def test_another_users_directory_is_refused(home: Path) -> None:
    require_root("to give a directory to somebody else")
    data = home / "data"
    data.mkdir(mode=0o700)
    os.chown(data, 65534, 65534)
    assert "another user" in refused(data)


def test_an_unknown_setting_is_named(home: Path) -> None:
    data = home / "data"
    made(data)
    (data / "bastide.toml").write_text("consol_port = 1\n")
    assert "consol_port" in refused(data)


def test_settings_may_be_written_before_the_first_start(home: Path) -> None:
    data = home / "data"
    data.mkdir(mode=0o700)
    (data / "bastide.toml").write_text('host = "no-such-host.invalid"\n')
    assert "--host" in refused(data)


@pytest.mark.parametrize("host", ["999.1.1.1", "192.0.2.7"])
def test_an_address_that_is_none_of_this_machines_is_named(home: Path, host: str) -> None:
    sentence = refused(home / "data", "--host", host)
    assert host in sentence
    assert "--host" in sentence


def test_a_database_that_does_not_answer_is_named_without_its_password(home: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, and not listening: whoever connects is refused
        port = nobody.getsockname()[1]
        sentence = refused(home / "data", "--database-url", f"postgresql+psycopg://ada:geheim@127.0.0.1:{port}/bastide")
    assert f"127.0.0.1:{port}/bastide does not work" in sentence
    assert "refused" in sentence
    assert "geheim" not in sentence


@pytest.mark.parametrize(
    "address", ["mysql://ada:geheim@localhost/bastide", "postgresql://localhost/bastide", "rubbish"]
)
def test_a_database_of_another_kind_is_refused_with_the_form_that_is_meant(home: Path, address: str) -> None:
    sentence = refused(home / "data", "--database-url", address)
    assert "postgresql+psycopg://USER@HOST/NAME" in sentence
    assert "geheim" not in sentence


def test_a_full_disk_is_said_and_nothing_half_made_is_left_to_trip_over(home: Path) -> None:
    require_root("to mount a small file system")
    with small_disk(home / "disk") as disk:
        fill(disk / "ballast")
        sentence = refused(disk / "data")
        assert "space" in sentence.lower()


def made(data: Path) -> None:
    """A data directory as Bastide makes one, without starting anything."""
    data.mkdir(mode=0o700)
    (data / "bastide.json").write_text(json.dumps({"format": 1}))
