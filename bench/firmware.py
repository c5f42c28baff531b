"""Components by their binaries, megabytes and files a second, beside cve-bin-tool's checkers over the same files in the same run.

    .venv/bin/python bench/firmware.py [--image IMAGE] [--rounds 3] [--skip-peer]

The image is Debian's installer for ARM (package debian-installer-12-netboot-armhf); its package database is the answer key.
cve-bin-tool wants a database of vulnerabilities that cannot be had offline, so its checkers' own patterns are run, each over the
strings of each ELF file, as its scanner does (but for one that opens the database when it is loaded); it gets an environment of
its own under the cache folder. Recall is counted over the packages that one of its checkers is for and that are in the image, a
package being found when its upstream version is told.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bastide.operations.firmware.budget import Budget
from bastide.operations.firmware.check import check_image, check_tree
from bastide.operations.firmware.entry import Entry, Kind
from bastide.operations.firmware.packages import dpkg
from bastide.operations.firmware.walk import walk

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench._machine import facts

IMAGE = Path("/usr/lib/debian-installer/images/12/armhf/text/debian-installer/armhf/initrd.gz")
CACHE = Path("~/.cache/bastide-bench").expanduser()
# Which package of the image each checker is for, by the names that both use.
ANSWERS: Mapping[str, tuple[str, str]] = {
    "busybox": ("busybox-udeb", "busybox"),
    "glibc": ("libc6-udeb", "glibc"),
    "openssl": ("libcrypto3-udeb", "openssl"),
    "zlib": ("zlib1g-udeb", "zlib"),
    "wget": ("wget-udeb", "wget"),
    "nano": ("nano-udeb", "nano"),
    "kbd": ("kbd-udeb", "kbd"),
    "util_linux": ("util-linux-udeb", "util-linux"),
    "readline": ("libreadline8-udeb", "readline"),
    "ncurses": ("libtinfo6-udeb", "ncurses"),
    "libgcrypt": ("libgcrypt20-udeb", "libgcrypt"),
    "fribidi": ("libfribidi0-udeb", "fribidi"),
    "gnupg": ("gpgv-udeb", "gnupg"),
    "pcre2": ("libpcre2-8-0-udeb", "pcre2"),
    "wpa_supplicant": ("wpasupplicant-udeb", "wpa_supplicant"),
    "screen": ("screen-udeb", "screen"),
    "systemd": ("udev-udeb", "systemd"),
}
_HARNESS = """
import importlib, inspect, json, re, sys, time
from pathlib import Path
import cve_bin_tool.checkers as own
checkers = []
for name in own.__all__:
    if name in ("Checker", "VendorProductPair"):
        continue
    try:
        module = importlib.import_module("cve_bin_tool.checkers." + name)
    except Exception:  # one of them opens its database when it is loaded
        continue
    for one in vars(module).values():
        if inspect.isclass(one) and issubclass(one, own.Checker) and one is not own.Checker:
            checkers.append((name, one()))
printable, found, began = re.compile(rb"[\\x20-\\x7e]{3,}"), set(), time.monotonic()
for path in sorted(Path(sys.argv[1]).rglob("*")):
    if path.is_symlink() or not path.is_file():
        continue
    octets = path.read_bytes()
    if octets[:4] != b"\\x7fELF":
        continue
    lines = "\\n".join(match.group().decode() for match in printable.finditer(octets))
    for name, checker in checkers:
        told = checker.get_version(lines, str(path))
        if told and "is_or_contains" in told and told.get("version", "UNKNOWN") != "UNKNOWN":
            found.add((name, str(told["version"])))
print(json.dumps({"seconds": time.monotonic() - began, "found": sorted(found), "checkers": len(checkers)}))
"""


def unpacked(image: Path, folder: Path) -> tuple[int, int]:
    """Writes the image's tree for the peer, which reads files; (files, octets)."""
    files = octets = 0
    for seen in walk(image.name, image.read_bytes(), Budget(time.monotonic)):
        if seen.entry.kind is Kind.FILE and not seen.opened and seen.within.count("!") >= 1:
            path = folder / f"{files:05d}" / seen.path.rpartition("/")[2]
            path.parent.mkdir()
            path.write_bytes(seen.entry.content)
            files += 1
            octets += len(seen.entry.content)
    return files, octets


def peer(folder: Path) -> dict[str, Any] | None:
    """What cve-bin-tool's checkers find, and in which time."""
    environment = CACHE / "cve-bin-tool"
    python = environment / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True, capture_output=True)
            subprocess.run([str(python), "-m", "pip", "install", "-q", "cve-bin-tool"], check=True, capture_output=True)
        ended = subprocess.run(
            [str(python), "-c", _HARNESS, str(folder)], check=True, capture_output=True, text=True, timeout=1200
        )
    except (subprocess.SubprocessError, OSError) as error:
        said = getattr(error, "stderr", None) or error
        print(f"cve-bin-tool could not be run here: {str(said).strip().splitlines()[-1][:200]}")
        return None
    told: dict[str, Any] = json.loads(ended.stdout)
    return told


def same_files(folder: Path) -> float:
    """Seconds of the check over the files that the peer reads, read from the disk as the peer does."""
    began = time.monotonic()
    entries = (
        Entry(str(path.relative_to(folder)), Kind.FILE, 0o644, 0, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )
    check_tree(entries, Budget(time.monotonic), datetime.now(UTC))
    return time.monotonic() - began


def recall(found: set[tuple[str, str]], installed: Mapping[str, str], *, ours: bool) -> tuple[list[str], list[str]]:
    """(packages whose version was told, those whose was not)."""
    there: list[str] = []
    missed: list[str] = []
    for checker, (package, name) in ANSWERS.items():
        version = installed.get(package, "")
        upstream = version.partition(":")[2] or version
        told = {one for key, one in found if key == (name if ours else checker)}
        (there if any(one and upstream.startswith(one) for one in told) else missed).append(package)
    return there, missed


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--image", type=Path, default=IMAGE)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--skip-peer", action="store_true")
    given = options.parse_args()
    if not given.image.exists():
        sys.exit(f"{given.image} is not there; install debian-installer-12-netboot-armhf, or name another with --image")
    print(facts("cryptography", "zstandard"))
    times, report = [], {}
    for _ in range(given.rounds):
        began = time.monotonic()
        report = check_image(given.image.name, given.image.read_bytes(), Budget(time.monotonic), datetime.now(UTC))
        times.append(time.monotonic() - began)
    status = next(
        seen.entry.content
        for seen in walk(given.image.name, given.image.read_bytes(), Budget(time.monotonic))
        if seen.path.endswith("/var/lib/dpkg/status")
    )
    installed = {one.name: one.version for one in dpkg(status.decode())}
    ours = {(one["name"], one["version"]) for one in report["components"] if one["source"] != "dpkg"}
    with tempfile.TemporaryDirectory() as folder:
        files, octets = unpacked(given.image, Path(folder))
        print(
            f"input: {given.image.name}, {given.image.stat().st_size:,} octets; {files:,} files, {octets:,} octets in it"
        )
        seconds = statistics.median(times)
        there, missed = recall(ours, installed, ours=True)
        print(
            f"bastide, the whole check (unpacking, components, hardening, secrets, accounts): {seconds:.2f} s "
            f"({min(times):.2f} to {max(times):.2f}), {octets / seconds / 1e6:.1f} MB/s, {files / seconds:,.0f} files/s; "
            f"without the package database it tells {len(there)} of {len(ANSWERS)} packages, not: {', '.join(missed) or 'none'}"
        )
        alone = statistics.median(same_files(Path(folder)) for _ in range(given.rounds))
        print(
            f"bastide, the same over the unpacked files: {alone:.2f} s, {octets / alone / 1e6:.1f} MB/s, "
            f"{files / alone:,.0f} files/s"
        )
        told = None if given.skip_peer else peer(Path(folder))
        if told is not None:
            known, lost = recall({(name, version) for name, version in told["found"]}, installed, ours=False)
            print(
                f"cve-bin-tool, {told['checkers']} checkers over the unpacked files: {told['seconds']:.2f} s, "
                f"{octets / told['seconds'] / 1e6:.2f} MB/s, {files / told['seconds']:,.0f} files/s; "
                f"it tells {len(known)}, not: {', '.join(lost) or 'none'}"
            )
            print(
                f"ratio: {told['seconds'] / alone:.1f} times as fast over the same files, "
                f"{told['seconds'] / seconds:.1f} times with unpacking, which the peer is spared; "
                f"recall {len(there)} beside {len(known)} of {len(ANSWERS)}"
            )


if __name__ == "__main__":
    main()
