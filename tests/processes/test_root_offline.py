"""The root's key is in shares after the first start, and in none of the signer's files; older directories are brought there."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_private_key
from typer.testing import CliRunner

from bastide.cli.ceremony import app
from bastide.core.error import BastideError
from bastide.core.shares import join, read_share
from bastide.ports.keys import KeyRing, KeysUnusable
from bastide.signer.authority import establish, established
from bastide.signer.keyfile import KeyFile
from bastide.signer.offline import take_root_offline
from tests.scenarios.enrolment.platform import SignerProcess


def started(data: Path) -> SignerProcess:
    data.mkdir(mode=0o700, exist_ok=True)
    return SignerProcess(data).start()


def shares_of(data: Path) -> list[Path]:
    return sorted((data / "root-shares").glob("share-*"))


def test_after_the_first_start_two_shares_make_the_root_and_the_signer_has_it_no_more(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert started(data).stop() == 0
    assert KeyFile(data / "signer" / "keys.enc", None).open().root is None
    root = x509.load_pem_x509_certificate((data / "trust" / "root.pem").read_bytes())
    paths = shares_of(data)
    assert [path.stat().st_mode & 0o777 for path in paths] == [0o600] * 3
    key = load_der_private_key(join([read_share(path.read_text()) for path in paths[1:]]), None)
    assert key.public_key() == root.public_key()


def test_the_signer_starts_without_the_shares_and_makes_no_new_ones(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert started(data).stop() == 0
    for path in shares_of(data):
        path.unlink()
    assert started(data).stop() == 0
    assert shares_of(data) == []


def test_a_directory_of_an_older_release_keeps_its_root_and_gives_up_its_key(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert started(data).stop() == 0
    store, root = KeyFile(data / "signer" / "keys.enc", None), (data / "trust" / "root.pem").read_bytes()
    key = load_der_private_key(join([read_share(path.read_text()) for path in shares_of(data)[:2]]), None)
    store._write(replace(store.open(), root=key))  # type: ignore[arg-type]  # as the older release wrote it
    for path in shares_of(data):
        path.unlink()
    assert started(data).stop() == 0
    assert (data / "trust" / "root.pem").read_bytes() == root
    assert store.open().root is None
    assert len(shares_of(data)) == 3


def test_a_crash_before_the_key_file_is_rewritten_loses_nothing(tmp_path: Path) -> None:
    class Crash(Exception):
        pass

    class Crashing(KeyFile):
        def without_root(self, ring: KeyRing) -> KeyRing:
            raise Crash

    folder, shares = tmp_path / "signer", tmp_path / "root-shares"
    store = Crashing(folder / "keys.enc", None)
    authorities = establish(store, folder, datetime(2026, 1, 5, tzinfo=UTC), bytes(range(48)))
    (folder / "journal.log").touch()
    established(folder)
    with pytest.raises(Crash):
        take_root_offline(store, authorities, shares)
    again = KeyFile(folder / "keys.enc", None)
    authorities = establish(again, folder, datetime(2026, 1, 5, tzinfo=UTC), bytes(range(48)))
    assert authorities.keys.root is not None
    assert take_root_offline(again, authorities, shares).keys.root is None


def test_shares_that_are_not_written_leave_the_key_where_it_was(tmp_path: Path) -> None:
    folder, shares = tmp_path / "signer", tmp_path / "root-shares"
    store = KeyFile(folder / "keys.enc", None)
    authorities = establish(store, folder, datetime(2026, 1, 5, tzinfo=UTC), bytes(range(48)))
    shares.write_text("in the way")
    with pytest.raises(OSError, match="exists"):
        take_root_offline(store, authorities, shares)
    assert store.open().root is not None


def test_keys_without_the_root_and_without_its_certificate_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "signer"
    store = KeyFile(folder / "keys.enc", None)
    authorities = establish(store, folder, datetime(2026, 1, 5, tzinfo=UTC), bytes(range(48)))
    store.without_root(authorities.keys)
    with pytest.raises(KeysUnusable, match="without the root's"):
        establish(store, folder, datetime(2026, 1, 5, tzinfo=UTC), bytes(range(48)))


def test_the_ceremony_command_checks_shares_against_the_root(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for data in (one, other):
        assert started(data).stop() == 0
    run, root = CliRunner(), str(one / "trust" / "root.pem")
    good, foreign = [str(path) for path in shares_of(one)], [str(path) for path in shares_of(other)]
    told = run.invoke(app, ["check", *good[:2], "--root", root])
    assert told.exit_code == 0
    assert "the shares make the root's key" in told.output
    for given, reason in [
        (good[:1], "shares:few"),
        (foreign[:2], "ceremony:shares:wrong"),
        ([good[0], foreign[1]], "shares:mixed"),
        ([good[0], root], "shares:unreadable"),
    ]:
        failed = run.invoke(app, ["check", *given, "--root", root])
        assert isinstance(failed.exception, BastideError)
        assert failed.exception.reason == reason
