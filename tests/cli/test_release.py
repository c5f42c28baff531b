"""Releases: made and signed by several people, published whole, fetched by a device, withdrawn for good."""

import json
from pathlib import Path
from typing import Any

import pytest

from bastide.cli import run
from tests.agent.repository import Device, Repository, serving

Printed = pytest.CaptureFixture[str]


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Keys of two who sign and of the machine, a repository that wants both, and an image."""
    for name in ("root", "ada", "bob", "online", "eve"):
        assert run(["release", "key", str(tmp_path / f"{name}.pem")]) == 0
    keys = [
        "--root-key",
        "root.pem",
        "--targets-key",
        "ada.pem",
        "--targets-key",
        "bob.pem",
        "--online-key",
        "online.pem",
    ]
    paths = [str(tmp_path / one) if one.endswith(".pem") else one for one in keys]
    assert run(["release", "init", str(tmp_path / "repo"), *paths, "--targets-threshold", "2"]) == 0
    (tmp_path / "image.bin").write_bytes(b"firmware 2")
    return tmp_path


def create(house: Path, version: str = "2.0", counter: int = 2, *more: str) -> int:
    named = ["--name", "door-camera", "--version", version, "--counter", str(counter), "--hardware", "rev-b"]
    return run(["release", "create", str(house / "repo"), "--file", str(house / "image.bin"), *named, *more])


def sign(house: Path, *names: str) -> list[int]:
    return [run(["release", "sign", str(house / "repo"), "--key", str(house / f"{name}.pem")]) for name in names]


def publish(house: Path) -> int:
    return run(["release", "publish", str(house / "repo"), "--online-key", str(house / "online.pem")])


def verified(house: Path, printed: Printed) -> Any:
    printed.readouterr()
    run(
        ["release", "verify", str(house / "repo"), "--root", str(house / "repo" / "metadata" / "1.root.json"), "--json"]
    )
    return json.loads(printed.readouterr().out)


def test_a_release_needs_as_many_people_as_the_root_says(house: Path, capsys: Printed) -> None:
    assert create(house) == 0
    assert publish(house) == 2
    assert "0 of the 2" in capsys.readouterr().err
    assert sign(house, "ada", "ada") == [0, 0]
    assert publish(house) == 2
    assert sign(house, "eve") == [2]
    assert sign(house, "bob") == [0]
    assert verified(house, capsys)["releases"] == []
    assert publish(house) == 0
    (release,) = verified(house, capsys)["releases"]
    assert (release["name"], release["version"], release["counter"], release["hardware"]) == (
        "door-camera",
        "2.0",
        2,
        ["rev-b"],
    )


def test_a_device_fetches_what_was_published_and_nothing_else(house: Path) -> None:
    create(house)
    sign(house, "ada", "bob")
    assert publish(house) == 0
    with serving(Repository()) as server:
        server.files = {
            str(path.relative_to(house / "repo")): path.read_bytes()
            for path in (house / "repo").rglob("*")
            if path.is_file() and path.parts[-2] != "staged"
        }
        device = Device(server, house / "device")
        assert device.download("door-camera/2.0/image.bin") == b"firmware 2", device.words
        assert device.download("door-camera/3.0/image.bin") is None


def test_a_release_is_never_changed_nor_offered_again_once_withdrawn(house: Path, capsys: Printed) -> None:
    create(house)
    sign(house, "ada", "bob")
    publish(house)
    assert create(house) == 2
    assert "never changed" in capsys.readouterr().err
    named = ["--name", "door-camera", "--version", "2.0", "--reason", "bricks rev B"]
    assert run(["release", "withdraw", str(house / "repo"), *named]) == 0
    assert create(house) == 2
    assert "never offered again" in capsys.readouterr().err
    sign(house, "ada", "bob")
    assert publish(house) == 0
    assert verified(house, capsys) == {"verified": True, "releases": []}
    run(["release", "list", str(house / "repo"), "--json"])
    assert json.loads(capsys.readouterr().out)["withdrawn"] == {"door-camera/2.0/image.bin": "bricks rev B"}
    assert create(house) == 2


def test_a_counter_never_goes_down_within_what_is_offered(house: Path, capsys: Printed) -> None:
    create(house)
    assert create(house, "1.9", 1) == 2
    assert "would never start" in capsys.readouterr().err
    assert create(house, "2.1", 2) == 0


def test_what_was_changed_behind_the_signatures_is_found(house: Path, capsys: Printed) -> None:
    create(house)
    sign(house, "ada", "bob")
    publish(house)
    (stored,) = (house / "repo" / "targets").rglob("*.image.bin")
    stored.write_bytes(b"firmware X")
    told = verified(house, capsys)
    assert told["verified"] is False
    stored.write_bytes(b"firmware 2")
    assert verified(house, capsys)["verified"] is True
    metadata = house / "repo" / "metadata" / "2.targets.json"
    metadata.write_bytes(metadata.read_bytes().replace(b"rev-b", b"rev-c"))
    assert verified(house, capsys)["verified"] is False


def test_an_sbom_and_more_travel_with_a_release(house: Path, capsys: Printed) -> None:
    bom = house / "bom.json"
    bom.write_text(
        '{"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [{"name": "x", "version": "1", "type": "library"}]}'
    )
    more = [
        "--sbom",
        str(bom),
        "--requires",
        "loader=1.2",
        "--supported-until",
        "2029-12-31",
        "--notes",
        "Mends the door",
    ]
    assert create(house, "2.0", 2, *more) == 0
    sign(house, "ada", "bob")
    publish(house)
    (release,) = verified(house, capsys)["releases"]
    assert release["sbom"]["components"] == 1
    assert release["requires"] == {"loader": "1.2"}
    assert release["supported_until"] == "2029-12-31"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--version", "../x"], "no version"),
        (["--name", "Door Camera"], "does not name"),
        (["--supported-until", "soon"], "no day"),
        (["--requires", "loader"], "NAME=VERSION"),
        (["--file", "/nowhere"], "cannot be read"),
        (["--sbom", "/nowhere"], "cannot be read"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(
    house: Path, capsys: Printed, arguments: list[str], why: str
) -> None:
    assert create(house, "2.0", 2, *arguments) == 2
    assert why in capsys.readouterr().err
    assert run(["release", "sign", str(house / "repo"), "--key", str(house / "ada.pem")]) == 2


def test_keys_are_never_written_over_and_open_with_their_passphrase_only(tmp_path: Path, capsys: Printed) -> None:
    words = tmp_path / "words"
    words.write_text("long enough to keep\n")
    key = tmp_path / "k.pem"
    assert run(["release", "key", str(key), "--passphrase-file", str(words)]) == 0
    assert key.stat().st_mode & 0o777 == 0o600
    assert run(["release", "key", str(key)]) == 2
    assert "never written over" in capsys.readouterr().err
    one = ["release", "init", str(tmp_path / "repo")]
    keys = [f"--{role}-key={key}" for role in ("root", "targets", "online")]
    assert run([*one, *keys]) == 2
    assert "passphrase" in capsys.readouterr().err
    assert run([*one, *keys, "--passphrase-file", str(words)]) == 0
    assert run([*one, *keys, "--passphrase-file", str(words)]) == 2
