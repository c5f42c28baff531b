"""Hostile archives: nothing hangs, nothing grows without bound, nothing leaves the tree, and the rest is still analysed."""

import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.operations.firmware.entry import clean
from tests.domain.operations.firmware.build import device_tree, elf, image, mcuboot, newc, uimage
from tests.peers import shared_data

BAD = b"root::0:0::/:/bin/sh\n"
TREE = newc(("etc", b"", 0o40755), ("etc/passwd", BAD, 0o100644), ("bin/sh", elf(), 0o100755))


def tarred(*files: tuple[str, bytes], **more: Any) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", **more) as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def zipped(*files: tuple[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return made.getvalue()


def paths(report: dict[str, Any]) -> set[str]:
    return {one["path"].rpartition("!")[2] for one in report["findings"]}


@pytest.mark.parametrize(
    "wrapped",
    [
        TREE,
        gzip.compress(TREE),
        lzma.compress(TREE),
        lzma.compress(TREE, lzma.FORMAT_ALONE),
        gzip.compress(lzma.compress(gzip.compress(TREE))),
        tarred(("etc/passwd", BAD)),
        tarred(("etc/passwd", BAD), format=tarfile.PAX_FORMAT),
        tarred(("a" * 150 + "/etc/passwd", BAD), format=tarfile.GNU_FORMAT),
        zipped(("etc/passwd", BAD)),
        b"!<arch>\n" + b"data.tar/       0           0     0     100644  10240     `\n" + tarred(("etc/passwd", BAD)),
        uimage(gzip.compress(TREE)),
        device_tree({"images": {"ramdisk": {"data": gzip.compress(TREE)}}, "configurations": {}}),
        bytes(70_000) + gzip.compress(TREE * 40) + b"\xff" * 5000,
        b"boot loader" * 9000 + uimage(gzip.compress(TREE * 40)) + b"\xff" * 9000,
    ],
    ids=[
        "cpio",
        "gzip",
        "xz",
        "lzma",
        "three-deep",
        "tar",
        "pax",
        "gnu",
        "zip",
        "ar",
        "uimage",
        "fit",
        "carved",
        "flash-dump",
    ],
)
def test_what_is_inside_is_found_whatever_is_around_it(wrapped: bytes) -> None:
    report = image(wrapped)
    assert any(path.endswith("/etc/passwd") for path in paths(report)), report


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("../../etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("a/./../b", "a/b"),
        ("..\\..\\x", "x"),
        ("", ""),
    ],
)
def test_a_path_never_leaves_the_tree(path: str, inside: str) -> None:
    assert clean(path) == inside


def test_traversal_and_links_are_entries_like_others() -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, target in (("../../../etc/cron.d/evil", ""), ("escape", "/"), ("loop", "loop")):
            info = tarfile.TarInfo(name)
            if target:
                info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
        info = tarfile.TarInfo("escape/etc/passwd")
        info.size = len(BAD)
        archive.addfile(info, io.BytesIO(BAD))
    report = image(made.getvalue())
    assert paths(report) == {"/escape/etc/passwd"}


def test_bombs_end_at_the_bound_and_their_neighbours_are_analysed() -> None:
    bomb = gzip.compress(gzip.compress(bytes(200 << 20), 9), 9)
    report = image(tarred(("bomb.gz", bomb), ("etc/passwd", BAD)), ratio=100)
    assert "/etc/passwd" in paths(report)
    assert any("bound" in cut["reason"] for cut in report["limits"])
    assert report["coverage"]["bytes"] < 64 << 20


def test_a_zip_that_holds_itself_many_times_ends() -> None:
    inner = zipped(*((f"f{number}", bytes(100_000)) for number in range(50)))
    nested = inner
    for _ in range(4):
        nested = zipped(*((f"z{number}.zip", nested) for number in range(10)))
    report = image(nested, octets=64 << 20, files=2000)
    assert report["limits"]


def test_depth_files_and_time_are_bounded() -> None:
    deep = TREE
    for _ in range(20):
        deep = tarred(("x.tar", deep))
    assert any("deep" in cut["reason"] for cut in image(deep)["limits"])
    many = newc(*((f"f{number}", b"x", 0o100644) for number in range(500)))
    report = image(many, files=100)
    assert report["coverage"]["files"] <= 101
    assert any("more than 100 files" in cut["reason"] for cut in report["limits"])
    assert any("longer than" in cut["reason"] for cut in image(TREE, seconds=-1.0)["limits"])


@pytest.mark.parametrize("cut", range(0, 1200, 37))
def test_a_truncated_image_gives_what_it_has(cut: int) -> None:
    for whole in (
        gzip.compress(TREE),
        TREE,
        tarred(("etc/passwd", BAD)),
        zipped(("etc/passwd", BAD)),
        uimage(TREE),
        mcuboot(),
    ):
        report = image(whole[: max(0, len(whole) - cut)])
        assert set(report) == {"components", "coverage", "findings", "limits"}


def test_damage_in_the_middle_costs_what_is_behind_it_and_is_told() -> None:
    packed = bytearray(
        gzip.compress(TREE + newc(*((f"f{number}", bytes(range(256)) * 40, 0o100644) for number in range(200))))
    )
    packed[len(packed) // 2] ^= 0xFF
    report = image(bytes(packed))
    assert "/etc/passwd" in paths(report)
    assert any("damaged" in cut["reason"] or "cut off" in cut["reason"] for cut in report["limits"])


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(
        [
            TREE,
            tarred(("etc/passwd", BAD)),
            zipped(("a", BAD)),
            uimage(TREE),
            mcuboot(),
            elf(),
            device_tree({"chosen": {"bootargs": b"x\0"}}),
        ]
    ),
    st.data(),
)
def test_no_damage_makes_a_reader_fail(whole: bytes, data: st.DataObject) -> None:
    octets = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 8))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    image(bytes(octets), seconds=20.0)


@given(st.binary(max_size=3000))
def test_any_octets_are_an_image(octets: bytes) -> None:
    image(octets)


@pytest.mark.parametrize(
    "magic",
    [
        b"hsqs",
        b"-rom1fs-",
        b"\x45\x3d\xcd\x28",
        b"UBI#",
        b"\x85\x19\x01\xe0",
        b"\x3a\xff\x26\xed",
        b"\xd0\x0d\xfe\xed",
        b"UF2\n\x57\x51\x5d\x9e",
        b":10000000",
    ],
)
def test_a_beginning_alone_is_no_container(magic: bytes) -> None:
    for filler in (b"\0", b"\xff", b"\x01", struct.pack("<I", 64)):
        image(magic + filler * 4000, seconds=20.0)


def test_intel_hex_and_uf2_become_their_contents() -> None:
    content = mcuboot(tlvs=((0x10, bytes(32)),))
    lines = []
    for at in range(0, len(content), 16):
        part = content[at : at + 16]
        record = bytes((len(part), at >> 8, at & 255, 0)) + part
        lines.append(f":{(record + bytes((-sum(record) & 255,))).hex().upper()}")
    report = image("\n".join([*lines, ":00000001FF"]).encode())
    assert [one["code"] for one in report["findings"]] == ["boot:mcuboot:unsigned"]
    blocks = [content[at : at + 256] for at in range(0, len(content), 256)]
    uf2 = b"".join(
        b"UF2\n" + struct.pack("<IIIIIII", 0x9E5D5157, 0, 0x10000 + 256 * number, len(block), number, len(blocks), 0)
        + block.ljust(476, b"\0") + struct.pack("<I", 0x0AB16F30)
        for number, block in enumerate(blocks)
    )  # fmt: skip
    assert [one["code"] for one in image(uf2)["findings"]] == ["boot:mcuboot:unsigned"]


@pytest.mark.parametrize(
    "name", ["png_malformed.bin", "squashfs.bin", "squashfs_v2.bin", "yaffs2.bin", "zip.bin", "zip_truncated.bin"]
)
def test_other_peoples_hard_cases_run_through(name: str) -> None:
    report = image(shared_data("firmware", name).read_bytes(), seconds=60.0)
    assert set(report) == {"components", "coverage", "findings", "limits"}


def test_a_compressed_stream_is_read_to_its_last_member() -> None:
    assert any(
        path.endswith("/etc/passwd")
        for path in paths(image(gzip.compress(b"x" * 10)[:0] + gzip.compress(TREE[:200]) + gzip.compress(TREE[200:])))
    )
    assert zlib.crc32(b"") == 0
