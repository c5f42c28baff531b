"""The sealed form of a backup, and that a hostile or torn one leaves nothing behind."""

import io
import struct
import tarfile
from datetime import UTC, datetime
from gzip import GzipFile
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.adapters.datadir import seal
from bastide.adapters.datadir.backup import look, restore, take
from bastide.adapters.datadir.layout import DataDirectory, open_directory
from bastide.adapters.datadir.seal import MAGIC, PIECE, Sealer, Unsealer
from bastide.core.error import Refused

PASSPHRASE = "correct horse battery"
NOW = datetime(2026, 11, 27, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "_COST", {"n": 1 << 4, "r": 8, "p": 1})


def sealed(plain: bytes, passphrase: str = PASSPHRASE) -> bytes:
    out = io.BytesIO()
    with Sealer(out, passphrase, {"made_at": "now"}) as sealer:
        sealer.write(plain)
    return out.getvalue()


def opened(octets: bytes, passphrase: str = PASSPHRASE) -> bytes:
    return Unsealer(io.BytesIO(octets), passphrase).read()


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_what_was_sealed_is_read(size: int) -> None:
    plain = bytes(range(256)) * (size // 256 + 1)
    assert opened(sealed(plain[:size])) == plain[:size]


SMALL = b"keys and ledger"


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_one_changed_octet_is_refused(data: st.DataObject) -> None:
    good = sealed(SMALL)
    at = data.draw(st.integers(0, len(good) - 1))
    changed = bytearray(good)
    changed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(Refused):
        opened(bytes(changed))


def test_every_cut_is_refused() -> None:
    good = sealed(SMALL)
    for end in range(len(good)):
        with pytest.raises(Refused):
            opened(good[:end])


def test_pieces_that_are_left_out_or_change_places_are_refused() -> None:
    good = sealed(bytes(3 * PIECE))
    start = good.index(b"\n", len(MAGIC)) + 1
    pieces, at = [], start
    while at < len(good):
        (length,) = struct.unpack(">I", good[at : at + 4])
        pieces.append(good[at : at + 4 + length])
        at += 4 + length
    assert len(pieces) == 3
    for order in ((0, 2), (1, 0, 2), (0, 1), (0, 1, 2, 2), (1, 2)):
        with pytest.raises(Refused):
            opened(good[:start] + b"".join(pieces[one] for one in order))


def test_another_passphrase_does_not_open_it() -> None:
    with pytest.raises(Refused) as refused:
        opened(sealed(SMALL), "wrong horse battery")
    assert refused.value.reason == "backup:passphrase"


def packed(members: dict[str, bytes], *, link: bool = False) -> bytes:
    out = io.BytesIO()
    with (
        Sealer(out, PASSPHRASE, {"made_at": "now"}) as sealer,
        GzipFile(fileobj=cast("Any", sealer), mode="wb") as zipped,
        tarfile.open(fileobj=zipped, mode="w|") as archive,
    ):
        for name, content in members.items():
            head = tarfile.TarInfo(name)
            head.size, head.mode = len(content), 0o600
            if link:
                head.type, head.linkname, head.size = tarfile.SYMTYPE, "/etc/passwd", 0
            archive.addfile(head, io.BytesIO(content))
    return out.getvalue()


LIST = b'{"made_at": "now", "files": 1, "octets": 1, "records": 0}'


@pytest.mark.parametrize(
    "octets",
    [
        packed({"../outside": b"x", "backup.json": LIST}),
        packed({"/outside": b"x", "backup.json": LIST}),
        packed({"a": b"x"}),
        packed({"backup.json": b"no JSON"}),
        packed({"a": b"x"}, link=True),
        packed({"state.db": b"no database at all" * 100, "backup.json": LIST}),
        b"",
        MAGIC + b"{}\n",
    ],
    ids=["leads out", "absolute", "no list", "bad list", "a link", "damaged database", "empty", "bad header"],
)
def test_a_backup_that_is_not_one_leaves_nothing(octets: bytes, tmp_path: Path) -> None:
    backup, target = tmp_path / "b" / "file", tmp_path / "target" / "data"
    backup.parent.mkdir()
    backup.write_bytes(octets)
    with pytest.raises(Refused):
        restore(backup, DataDirectory(target), PASSPHRASE)
    assert not target.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["b", "target"] or not any((tmp_path / "target").iterdir())


def test_nothing_is_written_over(tmp_path: Path) -> None:
    directory = open_directory(tmp_path / "data")
    directory.signer.mkdir()
    (directory.signer / "keys.enc").write_text("keys")
    out = tmp_path / "backup"
    take(directory, out, PASSPHRASE, NOW, database=False)
    assert look(out, PASSPHRASE).files >= 2
    with pytest.raises(Refused):
        take(directory, out, PASSPHRASE, NOW, database=False)
    with pytest.raises(Refused):
        restore(out, directory, PASSPHRASE)
    with pytest.raises(Refused):
        take(directory, tmp_path / "other", PASSPHRASE, NOW)  # there is no database
    other = DataDirectory(tmp_path / "restored")
    restore(out, other, PASSPHRASE)
    assert (other.signer / "keys.enc").read_text() == "keys"
    assert other.path.stat().st_mode & 0o777 == 0o700
