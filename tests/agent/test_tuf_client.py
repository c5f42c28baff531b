"""The agent's TUF client does what the client workflow says (specification 1.0.33, section 5) and refuses what attackers try.

Each test is a behaviour that the specification demands, driven through the command that an outside suite drives too.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import pytest
from securesystemslib.signer._crypto_signer import CryptoSigner
from tuf.api._payload import MetaFile, TargetFile

from tests.agent.repository import Device, Repository, serving

PAST = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def repository() -> Iterator[Repository]:
    with serving(Repository()) as served:
        yield served


@pytest.fixture
def device(repository: Repository, tmp_path: Path) -> Device:
    return Device(repository, tmp_path)


def test_a_first_update_brings_all_four_roles_and_a_second_asks_for_no_more_than_it_must(
    repository: Repository, device: Device
) -> None:
    assert device.versions() == (1, None, None, None)
    assert device.refresh(), device.words
    assert device.versions() == (1, 1, 1, 1)
    repository.asked.clear()
    assert device.refresh()
    assert repository.asked == ["metadata/2.root.json", "metadata/timestamp.json"]


def test_a_root_that_its_own_keys_did_not_sign_is_no_beginning(repository: Repository, tmp_path: Path) -> None:
    root = repository.files["metadata/1.root.json"]
    repository.files["metadata/1.root.json"] = re.sub(
        rb'"consistent_snapshot": ?true', b'"consistent_snapshot":false', root
    )
    with pytest.raises(AssertionError, match="own keys"):
        Device(repository, tmp_path)


# Root (5.3) ------------------------------------------------------------------------------------------------------------


def test_the_chain_of_roots_is_followed_step_by_step(repository: Repository, device: Device) -> None:
    for _ in range(3):
        old = list(repository.signers["root"])
        repository.rotate("root")
        repository.new_root([*old, *repository.signers["root"]])
    assert device.refresh(), device.words
    assert device.version("root") == 4


@pytest.mark.parametrize("signed_by", ["old only", "new only", "nobody"])
def test_a_new_root_needs_the_old_keys_and_the_new(repository: Repository, device: Device, signed_by: str) -> None:
    old = list(repository.signers["root"])
    repository.rotate("root")
    new = repository.signers["root"]
    repository.new_root({"old only": old, "new only": new, "nobody": []}[signed_by])
    assert not device.refresh()
    assert device.version("root") == 1


def test_a_threshold_of_root_keys_is_counted_by_key_and_not_by_signature(
    repository: Repository, device: Device
) -> None:
    second = repository.add_key("root")
    repository.root.roles["root"].threshold = 2
    repository.new_root()
    assert device.refresh(), device.words
    repository.new_root([second])
    assert not device.refresh()
    assert device.version("root") == 2
    octets = repository.files["metadata/3.root.json"]
    # The same signature twice is one.
    doubled = repository.metadata["root"].to_dict()
    doubled["signatures"] = doubled["signatures"] * 2
    repository.files["metadata/3.root.json"] = json.dumps(doubled).encode()
    assert not device.refresh()
    repository.files["metadata/3.root.json"] = octets
    repository.publish("root")
    assert device.refresh(), device.words


@pytest.mark.parametrize("version", [1, 3])
def test_a_root_must_be_just_the_next_one(repository: Repository, device: Device, version: int) -> None:
    repository.root.version = version
    repository.files["metadata/2.root.json"] = repository.sign("root")
    assert not device.refresh()
    assert device.version("root") == 1


def test_an_expired_root_stops_only_where_there_is_no_newer_one(repository: Repository, device: Device) -> None:
    fresh = repository.root.expires
    repository.root.expires = PAST
    repository.new_root()
    assert not device.refresh()
    assert "xpired" in device.words
    repository.root.expires = fresh
    repository.new_root()
    assert device.refresh(), device.words
    assert device.version("root") == 3


def test_a_key_that_the_root_took_away_counts_no_more(repository: Repository, device: Device) -> None:
    assert device.refresh()
    stolen = list(repository.signers["timestamp"])
    repository.rotate("timestamp")
    repository.new_root()
    repository.timestamp.version += 1
    repository.publish("timestamp", signers=stolen)
    assert not device.refresh()
    repository.publish("timestamp")
    assert device.refresh(), device.words
    assert device.version("timestamp") == 2


def test_a_fast_forward_attack_is_healed_by_new_keys(repository: Repository, device: Device) -> None:
    """5.3.11: with rotated keys, timestamp and snapshot begin anew; without, a lower version is a rollback."""
    repository.timestamp.version = 99999
    repository.publish("timestamp")
    assert device.refresh()
    repository.timestamp.version = 2
    repository.publish("timestamp")
    assert not device.refresh()
    repository.rotate("timestamp")
    repository.new_root()
    repository.publish("timestamp")
    assert device.refresh(), device.words
    assert device.version("timestamp") == 2


def test_the_trusted_root_survives_a_cut_between_two_writes(repository: Repository, device: Device) -> None:
    repository.new_root()
    assert device.refresh()
    (device.folder / "metadata" / "root.json").unlink()
    assert device.refresh(), device.words
    assert device.version("root") == 2


# Timestamp and snapshot (5.4, 5.5) -------------------------------------------------------------------------------------


def test_an_older_timestamp_is_refused(repository: Repository, device: Device) -> None:
    old = repository.files["metadata/timestamp.json"]
    repository.release("targets")
    assert device.refresh()
    repository.files["metadata/timestamp.json"] = old
    assert not device.refresh()
    assert device.version("timestamp") == 2


def test_a_timestamp_that_names_an_older_snapshot_is_refused(repository: Repository, device: Device) -> None:
    repository.release("targets")
    assert device.refresh()
    repository.timestamp.version += 1
    repository.timestamp.snapshot_meta = MetaFile(1)
    repository.publish("timestamp")
    assert not device.refresh()
    assert device.version("snapshot") == 2


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_expired_metadata_is_refused_and_does_not_stop_a_later_update(
    repository: Repository, device: Device, role: str
) -> None:
    fresh = repository.metadata[role].signed.expires
    repository.metadata[role].signed.expires = PAST
    repository.release("targets")
    assert not device.refresh()
    assert "xpired" in device.words
    repository.metadata[role].signed.expires = fresh
    repository.release("targets")
    assert device.refresh(), device.words
    assert device.version("targets") == 3


def test_what_expired_on_the_device_does_not_stop_it_from_fetching_newer(
    repository: Repository, device: Device
) -> None:
    """Freeze: what the device has runs out while nobody publishes; as soon as somebody does, it updates (aktualizr#1185)."""
    for role in ("timestamp", "snapshot", "targets"):
        repository.metadata[role].signed.expires = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    repository.release("targets")
    assert device.refresh(), device.words
    kept = device.versions()
    until = datetime.now(UTC) + timedelta(seconds=2.2)
    while datetime.now(UTC) < until:
        pass
    assert not device.refresh()
    for role in ("timestamp", "snapshot", "targets"):
        repository.metadata[role].signed.expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    repository.release("targets")
    assert device.refresh(), device.words
    assert device.versions() != kept


def test_a_snapshot_other_than_the_timestamp_says_is_refused(repository: Repository, device: Device) -> None:
    repository.release("targets")
    good = repository.files["metadata/2.snapshot.json"]
    wrong = MetaFile(2, len(good), {"sha256": sha256(b"something else").hexdigest()})
    repository.timestamp.snapshot_meta = wrong
    repository.timestamp.version += 1
    repository.publish("timestamp")
    assert not device.refresh()
    repository.timestamp.version += 1
    repository.timestamp.snapshot_meta = MetaFile(2, len(good), {"sha256": sha256(good).hexdigest()})
    repository.publish("timestamp")
    assert device.refresh(), device.words


def test_a_snapshot_with_an_older_or_without_a_known_role_is_refused(repository: Repository, device: Device) -> None:
    repository.release("targets")
    assert device.refresh()
    repository.snapshot.meta["targets.json"] = MetaFile(1)
    repository.snapshot.version += 1
    repository.publish("snapshot")
    repository.stamp()
    assert not device.refresh()
    del repository.snapshot.meta["targets.json"]
    repository.snapshot.version += 1
    repository.publish("snapshot")
    repository.stamp()
    assert not device.refresh()
    assert device.version("snapshot") == 2


def test_mixed_versions_are_refused(repository: Repository, device: Device) -> None:
    """Mix-and-match: targets of another version than the snapshot says."""
    repository.release("targets")
    repository.targets().version = 5
    repository.files["metadata/2.targets.json"] = repository.sign("targets")
    assert not device.refresh()
    assert device.version("targets") is None


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_a_role_that_strangers_signed_is_refused(repository: Repository, device: Device, role: str) -> None:
    repository.release("targets")
    repository.publish(role, signers=[CryptoSigner.generate_ed25519()])
    assert not device.refresh()


def test_one_key_below_the_threshold_is_not_enough(repository: Repository, device: Device) -> None:
    repository.add_key("targets")
    repository.root.roles["targets"].threshold = 2
    repository.new_root()
    repository.release("targets")
    repository.publish("targets", signers=repository.signers["targets"][:1])
    assert not device.refresh()
    repository.publish("targets")
    assert device.refresh(), device.words


def test_a_stolen_timestamp_key_can_freeze_but_not_forge(repository: Repository, device: Device) -> None:
    repository.add_target("firmware.bin", b"good")
    repository.release("targets")
    assert device.download("firmware.bin") == b"good"
    thief = repository.signers["timestamp"]
    repository.add_target("firmware.bin", b"evil")
    for role in ("targets", "snapshot"):
        repository.metadata[role].signed.version += 1
    repository.snapshot.meta["targets.json"] = MetaFile(repository.targets().version)
    repository.publish("targets", "snapshot", signers=thief)
    repository.stamp()
    assert device.download("firmware.bin") is None
    assert device.version("targets") == 2


@pytest.mark.parametrize("role", ["timestamp.json", "1.snapshot.json", "1.targets.json", "2.root.json"])
@pytest.mark.parametrize(
    "octets", [b"", b"{}", b"[" * 5000, b"\xff\xfe", b'{"signed": {"_type": "root"}, "signatures": []}']
)
def test_metadata_that_cannot_be_read_is_refused_in_one_sentence(
    repository: Repository, device: Device, role: str, octets: bytes
) -> None:
    repository.files[f"metadata/{role}"] = octets
    assert not device.refresh()
    assert len(device.words.strip().splitlines()) == 1


def test_a_role_under_the_name_of_another_is_refused(repository: Repository, device: Device) -> None:
    repository.files["metadata/1.snapshot.json"] = repository.files["metadata/1.targets.json"]
    assert not device.refresh()


def test_fields_that_nobody_knows_are_kept_and_signed(repository: Repository, device: Device) -> None:
    repository.targets().unrecognized_fields["custom"] = {"ü": [1, None]}
    repository.root.unrecognized_fields["x-note"] = "n"
    repository.new_root()
    repository.release("targets")
    assert device.refresh(), device.words


# Endless and slow (5.3.3, 5.4.1 and the attacks of section 1.5.2) -----------------------------------------------------


@pytest.mark.parametrize("role", ["timestamp.json", "2.root.json"])
def test_endless_data_ends_at_the_bound(repository: Repository, device: Device, role: str) -> None:
    repository.files[f"metadata/{role}"] = b" " * 3_000_000
    assert not device.refresh()
    assert "longer" in device.words


def test_a_target_is_never_longer_than_was_signed(repository: Repository, device: Device) -> None:
    repository.add_target("firmware.bin", b"good")
    repository.release("targets")
    name = f"targets/{sha256(b'good').hexdigest()}.firmware.bin"
    repository.files[name] = b"good" + b"\0" * 1_000_000
    assert device.download("firmware.bin") is None
    assert "longer" in device.words
    repository.files[name] = b"gool"
    assert device.download("firmware.bin") is None
    assert not list((device.folder / "targets").glob("*"))
    repository.files[name] = b"good"
    assert device.download("firmware.bin") == b"good"


@pytest.mark.long
def test_slow_retrieval_is_given_up(repository: Repository, device: Device) -> None:
    repository.slowly["metadata/timestamp.json"] = 0.5
    assert not device.refresh()
    assert "slow" in device.words


def test_a_repository_that_is_away_is_told_from_one_that_lies(repository: Repository, device: Device) -> None:
    del repository.files["metadata/timestamp.json"]
    assert not device.refresh()
    assert "404" in device.words


# Targets and delegations (5.6, 5.7) ------------------------------------------------------------------------------------


def test_a_target_is_fetched_once_and_verified_each_time(repository: Repository, device: Device) -> None:
    repository.add_target("a/b c/firmware ü.bin", b"content")
    repository.release("targets")
    assert device.download("a/b c/firmware ü.bin") == b"content", device.words
    repository.asked.clear()
    assert device.download("a/b c/firmware ü.bin") == b"content"
    assert not [path for path in repository.asked if path.startswith("targets/")]
    kept = next((device.folder / "targets").iterdir())
    kept.write_bytes(b"changed")
    assert device.download("a/b c/firmware ü.bin") == b"content"


def test_without_consistent_snapshots_names_are_plain(repository: Repository, device: Device) -> None:
    repository.root.consistent_snapshot = False
    repository.new_root()
    repository.add_target("firmware.bin", b"plain")
    repository.release("targets")
    assert device.download("firmware.bin") == b"plain", device.words
    assert {"metadata/snapshot.json", "metadata/targets.json", "targets/firmware.bin"} <= set(repository.asked)


@pytest.mark.parametrize("name", ["a b.bin", "ü.bin", "x+y.bin", "d/e f/g.bin"])
def test_a_target_whose_name_needs_encoding_is_fetched_by_its_url(
    repository: Repository, device: Device, name: str
) -> None:
    repository.add_target(name, b"content")
    repository.release("targets")
    assert device.download(name) == b"content", device.words
    folder, _, file = name.rpartition("/")
    expected = f"{sha256(b'content').hexdigest()}.{file}"
    assert repository.asked[-1] == "targets/" + quote(f"{folder}/{expected}" if folder else expected, safe="/+")


def test_an_unknown_target_is_told(repository: Repository, device: Device) -> None:
    assert device.download("nothing.bin") is None
    assert "no target" in device.words


def tree(repository: Repository) -> None:
    """targets -> a (paths a/*) -> c (all of it); targets -> b (terminating, b/*); targets -> d (everything)."""
    repository.delegate("a", ["a/*"])
    repository.delegate("c", ["*/x", "*/*"], by="a")
    repository.delegate("b", ["b/*"], terminating=True)
    repository.delegate("d", ["*", "*/*"])


@pytest.mark.parametrize(
    ("path", "by", "found"),
    [
        ("a/x", "c", True),
        ("a/x", "a", True),
        ("b/x", "b", True),
        ("b/x", "d", False),  # b is terminating: nobody after it is asked
        ("e/x", "d", True),
        ("e/x", "a", False),  # a may not sign for e/
        ("e/x", "c", False),  # and neither may whoever a trusts
    ],
)
def test_a_delegation_reaches_as_far_as_its_paths_and_no_further(
    repository: Repository, device: Device, path: str, by: str, found: bool
) -> None:
    tree(repository)
    repository.add_target(path, by.encode(), by)
    repository.release("a", "b", "c", "d", "targets")
    assert device.download(path) == (by.encode() if found else None), device.words


def test_delegations_are_asked_in_their_order_depth_first(repository: Repository, device: Device) -> None:
    tree(repository)
    for role in ("c", "d"):
        repository.add_target("a/x", role.encode(), role)
    repository.release("a", "b", "c", "d", "targets")
    assert device.download("a/x") == b"c"
    order = [path for path in repository.asked if path.endswith((".a.json", ".b.json", ".c.json", ".d.json"))]
    assert order == ["metadata/1.a.json", "metadata/1.c.json"]


def test_delegations_that_go_in_a_circle_end(repository: Repository, device: Device) -> None:
    repository.delegate("a", ["*"])
    repository.delegate("b", ["*"], by="a")
    role = repository.targets("a").delegations
    assert role is not None
    inner = repository.targets("b")
    inner.delegations = role
    inner.delegations.roles["a"] = repository.targets().delegations.roles["a"]  # type: ignore[index, union-attr]
    repository.release("a", "b", "targets")
    assert device.download("nothing") is None
    assert "no target" in device.words


def test_a_delegated_role_needs_its_own_threshold(repository: Repository, device: Device) -> None:
    repository.delegate("a", ["a/*"], threshold=2)
    repository.add_target("a/x", b"one", "a")
    repository.release("a", "targets")
    assert device.download("a/x") is None
    repository.add_key("a", delegator="targets")
    repository.release("a", "targets")
    assert device.download("a/x") == b"one", device.words


def test_an_expired_or_older_delegation_is_refused(repository: Repository, device: Device) -> None:
    repository.delegate("a", ["a/*"])
    repository.add_target("a/x", b"one", "a")
    repository.release("a", "targets")
    assert device.download("a/x") == b"one"
    repository.targets("a").expires = PAST
    repository.release("a")
    assert device.download("a/x") is None
    repository.targets("a").expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=9)
    repository.release("a")
    assert device.download("a/x") == b"one", device.words
    repository.snapshot.meta["a.json"] = MetaFile(1)
    repository.snapshot.version += 1
    repository.publish("snapshot")
    repository.stamp()
    assert device.download("a/x") is None


def test_a_role_name_with_signs_of_a_path_stays_in_its_folder(repository: Repository, device: Device) -> None:
    repository.delegate("../../e/ü", ["*"])
    repository.add_target("x", b"one", "../../e/ü")
    repository.release("../../e/ü", "targets")
    assert device.download("x") == b"one", device.words
    assert device.version("../../e/ü") == 1
    assert {path.name for path in device.folder.iterdir()} == {"metadata", "targets", "shipped.json"}


def test_hash_bins_share_a_large_fleets_targets(repository: Repository, device: Device) -> None:
    names = repository.delegate_bins(4, "bin")
    assert len(names) == 16
    chosen = {}
    for number in range(12):
        path = f"device-{number}.bin"
        place = int(sha256(path.encode()).hexdigest()[:8], 16) >> 28
        repository.add_target(path, path.encode(), names[place])
        chosen[path] = names[place]
    repository.release(*names, "targets")
    repository.asked.clear()
    assert device.download("device-3.bin") == b"device-3.bin", device.words
    assert [path for path in repository.asked if ".bin-" in path] == [f"metadata/1.{chosen['device-3.bin']}.json"]


def test_hash_prefixes_choose_a_delegation(repository: Repository, device: Device) -> None:
    prefix = sha256(b"x").hexdigest()[:2]
    repository.delegate("right", hash_prefixes=[prefix])
    repository.delegate("wrong", hash_prefixes=["00" if prefix != "00" else "01"])
    repository.add_target("x", b"one", "right")
    repository.add_target("y", b"two", "wrong")
    repository.release("right", "wrong", "targets")
    assert device.download("x") == b"one", device.words
    assert device.download("y") is None


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_any_hash_of_the_table_is_verified(repository: Repository, device: Device, algorithm: str) -> None:
    target = TargetFile.from_data("f", b"content", [algorithm])
    repository.targets().targets["f"] = target
    repository.files[f"targets/{target.hashes[algorithm]}.f"] = b"content"
    repository.release("targets")
    assert device.download("f") == b"content", device.words


@pytest.mark.parametrize(
    "make", [CryptoSigner.generate_ed25519, CryptoSigner.generate_rsa, CryptoSigner.generate_ecdsa]
)
def test_every_kind_of_key_signs(make: Callable[[], CryptoSigner], tmp_path: Path) -> None:
    with serving(Repository(mac=make)) as repository:
        repository.add_target("f", b"content")
        repository.release("targets")
        assert Device(repository, tmp_path).download("f") == b"content"


@pytest.mark.parametrize(
    "arguments", [(), ("refresh",), ("init",), ("download", "x"), ("--metadata-dir", "d", "refresh"), ("away",)]
)
def test_wrong_use_is_told_with_status_2(arguments: tuple[str, ...]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "bastide.agent.tuf_client", *arguments], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
