"""``bastide firmware check`` as a command: on images that real tools made, on a real system, in its sandbox."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bastide.operations.component.sbom import read_sbom
from tests.peers import require
from tests.processes.bastide import COMMAND

BOOT = Path("/usr/lib/debian-installer/images/12/armhf/text/debian-installer/armhf")


def bastide(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "firmware", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=240
    )


def checked(path: Path, *more: str) -> dict[str, Any]:
    ended = bastide("check", path, "--json", *more)
    assert ended.returncode in (0, 1), ended.stderr
    report: dict[str, Any] = json.loads(ended.stdout)
    assert ended.returncode == any(one["severity"] in ("critical", "high") for one in report["findings"])
    return report


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small root file system with one flaw, a link that leaves it, and a long file."""
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "bin").mkdir()
    (root / "etc" / "passwd").write_text("root::0:0:root:/:/bin/sh\n")
    (root / "etc" / "long").write_bytes(bytes(range(256)) * 3000)
    (root / "bin" / "sh").write_bytes(b"#!/bin/true\nBusyBox v1.36.1\n")
    (root / "etc" / "outside").symlink_to("/etc/hostname")
    for number in range(60):
        (root / "etc" / f"file-{number}").write_text(f"{number}\n" * 50)
    return root


def run(*command: str | Path) -> None:
    subprocess.run([*map(str, command)], check=True, capture_output=True)


def ext(root: Path, made: Path, *options: str) -> None:
    run(require("mkfs.ext4"), "-q", *options, "-d", root, made, "8M")


def ubi(root: Path, made: Path) -> None:
    inner = made.with_suffix(".jffs2")
    run(require("mkfs.jffs2"), "-r", root, "-o", inner, "-e", "128KiB", "-n")
    described = made.with_suffix(".ini")
    described.write_text(f"[v]\nmode=ubi\nimage={inner}\nvol_id=0\nvol_type=dynamic\nvol_name=v\nvol_size=4MiB\n")
    run(require("ubinize"), "-o", made, "-p", "128KiB", "-m", "2048", described)


def sparse(root: Path, made: Path) -> None:
    plain = made.with_suffix(".ext4")
    ext(root, plain)
    run(require("img2simg"), plain, made)


MAKERS: dict[str, Callable[[Path, Path], None]] = {
    "squashfs-gzip": lambda root, made: run(require("mksquashfs"), root, made, "-comp", "gzip", "-all-root"),
    "squashfs-xz": lambda root, made: run(require("mksquashfs"), root, made, "-comp", "xz", "-b", "64K"),
    "squashfs-zstd": lambda root, made: run(require("mksquashfs"), root, made, "-comp", "zstd", "-no-fragments"),
    "ext4": lambda root, made: ext(root, made),
    "ext4-64bit-inline": lambda root, made: ext(root, made, "-O", "64bit,inline_data", "-b", "1024"),
    "ext2": lambda root, made: ext(root, made, "-t", "ext2", "-O", "^extents,^64bit", "-b", "1024"),
    "cramfs": lambda root, made: run(require("mkfs.cramfs"), root, made),
    "cramfs-big": lambda root, made: run(require("mkfs.cramfs"), "-N", "big", root, made),
    "romfs": lambda root, made: run(require("genromfs"), "-d", root, "-f", made),
    "jffs2": lambda root, made: run(require("mkfs.jffs2"), "-r", root, "-o", made, "-n"),
    "jffs2-big": lambda root, made: run(require("mkfs.jffs2"), "-b", "-r", root, "-o", made, "-n"),
    "ubi": ubi,
    "sparse": sparse,
    "uimage": lambda root, made: run(
        *(require("mkimage"), "-A", "arm", "-O", "linux", "-T", "ramdisk", "-C", "none", "-n", "x"),
        "-d",
        _cpio(root, made),
        made,
    ),
}


def _cpio(root: Path, made: Path) -> Path:
    archive = made.with_suffix(".cpio")
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    with archive.open("wb") as out:
        subprocess.run(
            [require("cpio"), "-o", "-H", "newc", "--quiet"], cwd=root, input=names.encode(), stdout=out, check=True
        )
    return archive


@pytest.mark.parametrize("form", MAKERS)
def test_every_form_that_a_real_tool_makes_gives_the_same_tree(tree: Path, tmp_path: Path, form: str) -> None:
    made = tmp_path / f"image.{form}"
    MAKERS[form](tree, made)
    report = checked(made)
    plain = checked(tree)
    assert report["limits"] == [], report["limits"]
    expected = {(one["code"], one["path"]) for one in plain["findings"] if not one["code"].startswith("file:")}
    found = {(one["code"], one["path"].rpartition("!")[2]) for one in report["findings"]}
    assert expected <= found, (expected, found)
    octets = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    assert plain["coverage"]["bytes"] == octets
    # Containers in between count as files where they are not opened; what is in them is all there.
    assert report["coverage"]["bytes"] == octets, report["coverage"]


def _boot(name: str) -> Path:
    """A boot image of Debian's installer for ARM."""
    if not (BOOT / name).exists():
        sentence = "debian-installer-12-netboot-armhf is not installed; `make peers` installs it where Debian 12 has it"
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    return BOOT / name


def test_a_real_system_is_told_as_its_package_database_has_it() -> None:
    report = checked(_boot("initrd.gz"))
    assert report["not_sandboxed"] == []
    by_source: dict[str, dict[str, str]] = {}
    for one in report["components"]:
        by_source.setdefault(one["source"], {})[one["name"]] = one["version"]
    installed = by_source["dpkg"]
    assert len(installed) == 95
    # What the binaries tell agrees with what the database says of the packages that they are from.
    udebs = {
        "busybox": "busybox-udeb", "glibc": "libc6-udeb", "openssl": "libcrypto3-udeb", "zlib": "zlib1g-udeb",
        "wget": "wget-udeb", "nano": "nano-udeb", "kbd": "kbd-udeb", "util-linux": "util-linux-udeb",
        "readline": "libreadline8-udeb", "ncurses": "libtinfo6-udeb", "libgcrypt": "libgcrypt20-udeb",
        "fribidi": "libfribidi0-udeb", "pcre2": "libpcre2-8-0-udeb", "libgpg-error": "libgpg-error0-udeb",
        "wpa_supplicant": "wpasupplicant-udeb", "libcap": "libcap2-udeb", "gnupg": "gpgv-udeb",
    }  # fmt: skip
    for name, package in udebs.items():
        upstream = installed[package].partition(":")[2] or installed[package]
        assert upstream.startswith(by_source["binary"][name]), (name, by_source["binary"][name], installed[package])
    assert report["coverage"]["share_of_bytes"] > 0.85
    assert {one["code"] for one in report["findings"]} >= {"console:shell", "account:root:second"}


def test_the_kernel_beside_it_is_opened() -> None:
    report = checked(_boot("vmlinuz"))
    assert any(one["name"] == "linux" and one["version"].startswith("6.1") for one in report["components"])


def test_the_other_forms_of_the_answer(tree: Path, tmp_path: Path) -> None:
    html, sarif, sbom = (tmp_path / name for name in ("page.html", "report.sarif", "bom.json"))
    ended = bastide("check", tree, "--html", html, "--sarif", sarif, "--sbom", sbom)
    assert ended.returncode == 1
    assert "account:password:empty" in ended.stdout
    assert "default-src 'none'" in html.read_text()
    (first, *_) = json.loads(sarif.read_text())["runs"][0]["results"]
    assert first["ruleId"] == "account:password:empty"
    assert first["level"] == "error"
    assert read_sbom(sbom.read_bytes()).form.startswith("CycloneDX")


def test_two_images_are_compared(tree: Path, tmp_path: Path) -> None:
    archive = _cpio(tree, tmp_path / "before")
    (tree / "etc" / "passwd").write_text("root:*:0:0:root:/:/bin/sh\n")
    (tree / "bin" / "app").write_bytes(b"#!/bin/sh\n")
    (tree / "bin" / "app").chmod(0o4755)
    ended = bastide("diff", archive, tree, "--json")
    assert ended.returncode == 1
    told = json.loads(ended.stdout)
    assert [one["code"] for one in told["findings"]["gone"]] == ["account:password:empty"]
    assert [one["code"] for one in told["findings"]["new"]] == ["file:setuid:script"]


@pytest.mark.parametrize(
    ("path", "why"), [("/nowhere/image", "cannot be read"), ("/dev/null", "no file and no folder")]
)
def test_what_is_no_image_is_told(path: str, why: str) -> None:
    ended = bastide("check", path)
    assert ended.returncode == 2
    assert why in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_cannot_be_read_of_a_folder_is_told_and_the_rest_is_checked(tree: Path) -> None:
    os.mkfifo(tree / "etc" / "pipe")
    (tree / "dangling").symlink_to("nowhere")
    report = checked(tree)
    assert any(one["path"] == "/etc/passwd" for one in report["findings"])
