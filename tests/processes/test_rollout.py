"""Releases reach devices: a Bastide that runs, `bastide release` and `bastide rollout`, agents on boards of files."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastide.device.boot.image import make_image
from tests.processes.bastide import COMMAND, Bastide, until
from tests.processes.board import Device, content

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)


def release(*arguments: str | Path) -> None:
    done = subprocess.run([COMMAND, "release", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


class Repository:
    """The platform's own, with its keys beside it."""

    def __init__(self, bastide: Bastide, keys: Path) -> None:
        self.bastide, self.folder, self.keys = bastide, bastide.data / "releases", keys
        keys.mkdir()
        for name in ("root", "ada", "online"):
            release("key", keys / name)
        release(
            "init",
            self.folder,
            "--root-key",
            keys / "root",
            "--targets-key",
            keys / "ada",
            "--online-key",
            keys / "online",
        )

    @property
    def root(self) -> Path:
        return self.folder / "metadata" / "1.root.json"

    def publish(self, kind: str, version: str, counter: int, image: bytes) -> str:
        """Publishes an image; its digest."""
        file = self.keys / f"{kind}-{version}.bin"
        file.write_bytes(image)
        release("create", self.folder, "--file", file, "--name", kind, "--version", version, "--counter", str(counter),
                "--hardware", "rev-b")  # fmt: skip
        self.sign()
        return hashlib.sha256(image).hexdigest()

    def sign(self) -> None:
        release("sign", self.folder, "--key", self.keys / "ada")
        release("publish", self.folder, "--online-key", self.keys / "online")

    def withdraw(self, kind: str, version: str) -> None:
        release("withdraw", self.folder, "--name", kind, "--version", version, "--reason", "it is not well")
        self.sign()


class Fleet:
    """Devices of a class, which take releases of the same name."""

    def __init__(self, repository: Repository, kind: str, folder: Path, count: int) -> None:
        bastide = repository.bastide
        self.bastide, self.kind, url = bastide, kind, f"https://localhost:{bastide.ports['device_port']}"
        self.devices = []
        for number in range(count):
            claim = self.told("claim", "create", "--class", kind, "--json")
            one = Device.make(
                folder / str(number), KEY, url, bastide.data / "trust" / "root.pem", repository.root,
                (str(claim["username"]), str(claim["password"])),
            )  # fmt: skip
            one.agent()
            self.devices.append(one)

    def told(self, *arguments: str) -> dict[str, object]:
        done = self.bastide.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return dict(json.loads(done.stdout)) if "--json" in arguments else {}

    def roll(self, version: str, *more: str) -> str:
        made = self.told("rollout", "propose", self.kind, version, "--class", self.kind, "--json", *more)
        self.told("rollout", "approve", str(made["id"]))
        return str(made["id"])

    def shown(self, rollout: str) -> dict[str, object]:
        return self.told("rollout", "show", rollout, "--json")


@pytest.fixture(scope="module")
def repository(bastide: Bastide, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(bastide, tmp_path_factory.mktemp("release") / "keys")


def test_a_release_reaches_every_device_and_a_bad_one_goes_back(repository: Repository, tmp_path: Path) -> None:
    fleet = Fleet(repository, "lamp", tmp_path, 3)
    first = fleet.devices[0]
    assert fleet.told("device", "show", first.id, "--json")
    digest = repository.publish("lamp", "2.0", 2, make_image(content("2.0"), 2, KEY))

    ready = fleet.told("rollout", "preflight", "lamp", "2.0", "--class", "lamp", "--json")
    assert (ready["devices"], ready["ready"], ready["no_way_back"]) == (3, 3, 3)
    good = fleet.roll("2.0", "--rings", "1")
    for device in fleet.devices:
        device.live()
        assert device.outcomes[-2:] == ["installed", "confirmed"], device.said
        assert device.boot() == {"slot": 1, "on_trial": False}
    rings = fleet.shown(good)["rings"]
    assert isinstance(rings, list)
    assert [(ring["began"], ring["succeeded"], ring["failed"]) for ring in rings] == [(3, 3, 0)]

    # What runs is measured, and stands in the inventory.
    running = fleet.told("device", "updates", first.id, "--json")["running"]
    assert isinstance(running, dict)
    assert (running["version"], running["sha256"], running["counter"], running["on_trial"]) == ("2.0", digest, 2, False)

    # An image that is not well goes back by itself, the failure is told, and the counter stays.
    repository.publish("lamp", "3.0", 3, make_image(content("3.0"), 3, KEY))
    bad = fleet.roll("3.0", "--rings", "1", "--tries", "1")
    first.live("false", steps=8)
    assert first.outcomes.count("not confirmed") == 3
    assert "went back" in first.outcomes
    assert first.boot() == {"slot": 1, "on_trial": False}
    failed = fleet.shown(bad)["failed"]
    assert isinstance(failed, list)
    assert failed[0]["device"] == first.id
    assert "went back" in failed[0]["because"]

    # A withdrawn release is not offered any more, and its rollout stops.
    repository.withdraw("lamp", "3.0")
    assert until(lambda: fleet.shown(bad)["phase"] == "stopped", 20)
    second = fleet.devices[1]
    before = len(second.outcomes)
    second.agent()
    assert second.outcomes[before:] == []
    assert repository.bastide.run("audit", "verify").returncode == 0


def test_an_image_that_the_boot_chain_refuses_fails_at_once(repository: Repository, tmp_path: Path) -> None:
    fleet = Fleet(repository, "bell", tmp_path, 1)
    device = fleet.devices[0]
    other = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
    repository.publish("bell", "2.0", 2, make_image(content("2.0"), 2, other))
    rollout = fleet.roll("2.0", "--rings", "1", "--tries", "1")
    device.live()
    assert device.outcomes == ["refused"]
    assert device.boot() == {"slot": 0, "on_trial": False}
    failed = fleet.shown(rollout)["failed"]
    assert isinstance(failed, list)
    assert "no image that this device may start" in failed[0]["because"]


def test_a_device_that_was_not_told_gets_nothing(repository: Repository, tmp_path: Path) -> None:
    fleet, bastide = Fleet(repository, "lock", tmp_path, 1), repository.bastide
    digest = repository.publish("lock", "2.0", 2, make_image(content("2.0"), 2, KEY))
    device, url = fleet.devices[0], f"https://localhost:{bastide.ports['device_port']}/updates"
    target = f"{url}/targets/lock/2.0/{digest}.lock-2.0.bin"

    def fetched(address: str, *more: str | Path) -> str:
        command: list[str | Path] = ["curl", "-s", "-o", tmp_path / "got", "-w", "%{http_code}"]
        command += ["--cacert", bastide.data / "trust" / "root.pem", *more, address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        return done.stdout

    own = ("--cert", device.folder / "state" / "identity.pem")
    assert fetched(f"{url}/metadata/timestamp.json", *own) == "200"
    assert fetched(f"{url}/metadata/timestamp.json") == "403"
    assert fetched(f"{url}/metadata/..%2f..%2foperator.token", *own) == "404"
    assert fetched(target, *own) == "403"
    fleet.roll("2.0", "--rings", "1")
    device.agent()
    assert fetched(target, *own) == "200"
    assert hashlib.sha256((tmp_path / "got").read_bytes()).hexdigest() == digest
    assert fetched(target, *own, "-r", "0-127") == "206"
    assert fetched(f"{url}/targets/../metadata/timestamp.json", *own, "--path-as-is") == "403"
