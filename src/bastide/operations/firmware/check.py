"""The check of an image: walks it once, hands each file to what knows it, and tells components, coverage, flaws and limits."""

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bastide.core.error import Unreadable
from bastide.operations.component.sbom import read_sbom
from bastide.operations.firmware import packages, secrets, system
from bastide.operations.firmware.budget import Budget, Damaged
from bastide.operations.firmware.elf import Elf, is_elf, read_elf
from bastide.operations.firmware.entry import Entry, Kind
from bastide.operations.firmware.flaws import Found, found
from bastide.operations.firmware.rules import RULES, library_of
from bastide.operations.firmware.unpack import boot
from bastide.operations.firmware.walk import Seen, walk, walk_tree

MAX_FLAWS = 50_000
MAX_TEXT = 2 << 20
MAX_FILES_TOLD = 50
_OTHERS_WRITE = ("/tmp", "/home", "/build", "/var/tmp")  # noqa: S108 - folders that a binary names
_RUNS_ANYTHING = frozenset(("sh", "bash", "ash", "dash", "python", "python3", "perl", "find", "vi", "env"))


@dataclass(slots=True)
class Part:
    """A component that was recognised. ``source`` is by what: a package database, an SBOM, the binary itself, its file's name."""

    name: str
    version: str
    purl: str
    confidence: float
    source: str
    files: dict[str, None] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        files = sorted(self.files)
        return {
            "name": self.name,
            "version": self.version,
            "purl": self.purl,
            "confidence": self.confidence,
            "source": self.source,
            "files": files[:MAX_FILES_TOLD],
            "file_count": len(files),
        }


class Check:
    """One check; ``take`` every file, then ``report``."""

    def __init__(self, budget: Budget, now: datetime) -> None:
        self.budget = budget
        self.now = now
        self.parts: dict[tuple[str, str, str], Part] = {}
        self.flaws: dict[tuple[str, str, str], Found] = {}
        self.sizes: dict[str, int] = {}
        self.explained: set[str] = set()
        self.containers: dict[str, int] = {}
        self.started = system.Started()
        self.distribution = ("", "")
        self._packages: list[tuple[str, packages.Package]] = []
        self._lists: dict[tuple[str, str], tuple[str, ...]] = {}

    def take(self, seen: Seen) -> None:
        """Looks at one file and forgets its content."""
        entry, path = seen.entry, seen.path
        self.started.see(seen)
        self._rights(path, entry)
        if entry.kind is not Kind.FILE:
            return
        if seen.opened:
            self._container(path, entry.content)
            return
        self.sizes[path] = len(entry.content)
        data = entry.content
        if is_elf(data):
            self._binary(path, data)
            return
        self._firmware(path, data)
        if len(data) <= MAX_TEXT:
            self._secrets(path, data)
            self._text(path, data)
        elif self._strings(path, data):
            self.explained.add(path)

    # What it is ---------------------------------------------------------------------------------------------------------

    def _container(self, path: str, data: bytes) -> None:
        if boot.is_uimage(data):
            self.tell(found("boot:uimage:unsigned", path))
        elif boot.is_fit(data):
            try:
                if not boot.fit_is_signed(data):
                    self.tell(found("boot:fit:unsigned", path))
            except Damaged as error:
                self.budget.cut(path, str(error))

    def _firmware(self, path: str, data: bytes) -> None:
        if boot.is_dtb(data):
            self.explained.add(path)
            try:
                self.tell(*system.device_tree(path, boot.device_tree(data)))
            except Damaged as error:
                self.budget.cut(path, str(error))
        elif boot.is_mcuboot(data):
            version, signed = boot.mcuboot(data)
            self.part("mcuboot-image", version, f"pkg:generic/mcuboot-image@{version}", 0.6, "header", path)
            if not signed:
                self.tell(found("boot:mcuboot:unsigned", path))
            elif signed in ("RSA-2048", "ECDSA-P224"):
                self.tell(found("boot:mcuboot:weak", path, what=signed))

    def _binary(self, path: str, data: bytes) -> None:
        elf = read_elf(data)
        if elf is None:
            self.budget.cut(path, "its ELF headers do not hold together")
            return
        if elf.kind == "relocatable":
            self._module(path, elf, data)
            return
        if elf.kind in ("executable", "shared"):
            self._hardening(path, elf)
        text = b"\0".join(elf.octets(data, ".rodata", ".data", ".comment")) or data
        known = self._strings(path, text)
        known |= self._note(path, elf, data)
        if not known and (library := library_of(path.rpartition("/")[2])):
            self.part(library[0], library[1], f"pkg:generic/{library[0]}@{library[1]}", 0.6, "file name", path)
            known = True
        if known:
            self.explained.add(path)
        if b"PRIVATE KEY-----" in text:
            self.tell(*secrets.keys(path, text))

    def _strings(self, path: str, text: bytes) -> bool:
        known = False
        for rule in RULES:
            for version in rule.versions(text):
                self.part(rule.name, version, f"pkg:generic/{rule.name}@{version}", rule.confidence, "binary", path)
                known = True
        if b"IKCFG_ST\x1f\x8b" in text:
            self._kernel_config(path, text)
        return known

    def _kernel_config(self, path: str, text: bytes) -> None:
        """CONFIG_IKCONFIG: the configuration, compressed, inside the kernel."""
        at = text.find(b"IKCFG_ST\x1f\x8b") + 8
        try:
            config = zlib.decompressobj(31).decompress(text[at : at + (1 << 20)], 4 << 20)
        except zlib.error:
            return
        self.tell(*system.kernel_config(path, config.decode("utf-8", "replace")))

    def _module(self, path: str, elf: Elf, data: bytes) -> None:
        for octets in elf.octets(data, ".modinfo"):
            at = octets.find(b"vermagic=")
            if at >= 0:
                magic = octets[at + 9 : octets.find(b" ", at)].decode("utf-8", "replace")
                version = re.match(r"\d+(?:\.\d+)+", magic)
                if version:
                    self.part("linux", version[0], f"pkg:generic/linux@{version[0]}", 0.9, "kernel module", path)
                    self.explained.add(path)

    def _note(self, path: str, elf: Elf, data: bytes) -> bool:
        """The package note that distributions put into binaries (UAPI group, ELF package metadata)."""
        known = False
        for octets in elf.octets(data, ".note.package"):
            said = dict(re.findall(rb'"(type|os|name|version|architecture)":"([^"]{1,100})"', octets))
            if b"name" in said and b"version" in said:
                kind, name, version = (
                    said.get(key, b"").decode("utf-8", "replace") for key in (b"type", b"name", b"version")
                )
                vendor = said.get(b"os", b"").decode("utf-8", "replace").lower()
                space = f"{vendor}/" if vendor else ""
                purl = f"pkg:{kind or 'generic'}/{space}{name}@{_encoded(version)}"
                self.part(name, version, purl, 0.95, "package note", path)
                known = True
        return known

    def _hardening(self, path: str, elf: Elf) -> None:
        program = elf.kind == "executable" or elf.pie
        if not elf.nx:
            self.tell(found("elf:nx", path))
        if program and not elf.pie:
            self.tell(found("elf:pie", path))
        if elf.relro != "full" and not elf.static:
            self.tell(found("elf:relro", path, what="no" if elf.relro == "none" else "partial"))
        if not elf.canary and program:
            self.tell(found("elf:canary", path))
        if elf.fortify is False:
            self.tell(found("elf:fortify", path))
        if not elf.cfi and program and elf.machine in ("x86-64", "aarch64"):
            self.tell(found("elf:cfi", path))
        if not elf.stripped and program:
            self.tell(found("elf:symbols", path))
        for run_path in elf.run_paths:
            loose = [
                one
                for one in run_path.split(":")
                if not one.startswith(("/", "$ORIGIN")) or one.startswith(_OTHERS_WRITE)
            ]
            if loose:
                self.tell(found("elf:rpath", path, what=loose[0] or "the folder that one is in"))

    # What it says ---------------------------------------------------------------------------------------------------------

    def _rights(self, path: str, entry: Entry) -> None:
        sticky = entry.kind is Kind.FOLDER and entry.mode & 0o1000
        if entry.kind in (Kind.FILE, Kind.FOLDER) and entry.mode & 0o002 and not sticky:
            self.tell(found("file:world-writable", path))
        if entry.kind is Kind.FILE and entry.mode & 0o4000:
            name = path.rpartition("/")[2]
            script = entry.content[:2] == b"#!" or name in _RUNS_ANYTHING
            owner = "root" if entry.uid == 0 else f"user {entry.uid}"
            self.tell(found("file:setuid:script", path) if script else found("file:setuid", path, what=owner))

    def _secrets(self, path: str, data: bytes) -> None:
        if b"PRIVATE KEY-----" in data or data[4:8] in (b"ssh-", b"ecds") or path.endswith((".key", ".der", ".pk8")):
            self.tell(*secrets.keys(path, data))
        if b"BEGIN CERTIFICATE" in data or (data[:2] == b"\x30\x82" and path.endswith((".der", ".crt", ".cer"))):
            self.tell(*secrets.certificates(path, data, self.now))
            self.explained.add(path)
        self.tell(*secrets.tokens(path, data))

    def _text(self, path: str, data: bytes) -> None:
        if "/var/lib/dpkg/info/" in path or "/opkg/info/" in path:
            self.explained.add(path)
        for matches, look in _LOOKS:
            if matches(path):
                look(self, path, data.decode("utf-8", "replace"))
        if path.endswith((".cdx.json", "bom.json", ".spdx.json", ".spdx", "sbom.xml", ".cdx.xml")):
            self._sbom(path, data)
        if b"\0" not in data[:1024] and b"Linux version " in data:
            self._strings(path, data)

    def _sbom(self, path: str, data: bytes) -> None:
        try:
            read = read_sbom(data)
        except Unreadable:
            return
        for one in read.components:
            purl = str(one.purl) if one.purl else f"pkg:generic/{one.name}@{one.version}"
            self.part(one.name, one.version or "", purl, 0.9, "SBOM", path)

    def dpkg(self, path: str, text: str) -> None:
        for package in packages.dpkg(text):
            self._packages.append((path, package))
        self.explained.add(path)

    def opkg(self, path: str, text: str) -> None:
        for package in packages.dpkg(text, "generic"):
            self._packages.append((path, package))
        self.explained.add(path)

    def apk(self, path: str, text: str) -> None:
        for package in packages.apk(text):
            self._packages.append((path, package))
        self.explained.add(path)

    def file_list(self, path: str, text: str) -> None:
        within, _, name = path.rpartition("/")
        self._lists[(_root(within), name.removesuffix(".list").partition(":")[0])] = packages.file_list(text)

    def release(self, _path: str, text: str) -> None:
        if not self.distribution[0]:
            self.distribution = packages.distribution(text)

    # What comes of it -------------------------------------------------------------------------------------------------------

    def tell(self, *flaws: Found) -> None:
        for one in flaws:
            if len(self.flaws) >= MAX_FLAWS:
                self.budget.cut(one.path, f"more than {MAX_FLAWS:,} findings; the rest is not told")
                return
            self.flaws.setdefault((one.flaw.code, one.path, one.message), one)
            self.started.note(one)

    def part(self, name: str, version: str, purl: str, confidence: float, source: str, path: str) -> None:
        known = self.parts.setdefault((name, version, source), Part(name, version, purl, confidence, source))
        known.files[path] = None
        known.confidence = max(known.confidence, confidence)

    def _installed(self) -> None:
        """Package databases: what they list, and whose file each file is."""
        vendor = {"deb": self.distribution[0] or "debian", "apk": self.distribution[0] or "alpine"}
        for path, package in self._packages:
            space = f"/{vendor[package.kind]}" if package.kind in vendor else ""
            query = [f"arch={package.architecture}"] if package.architecture else []
            purl = f"pkg:{package.kind}{space}/{package.name}@{_encoded(package.version)}" + (
                f"?{'&'.join(query)}" if query else ""
            )
            root = _root(path)
            files = package.files or self._lists.get((root, package.name), ())
            source = {"deb": "dpkg", "apk": "apk", "generic": "opkg"}[package.kind]
            self.part(package.name, package.version, purl, 1.0, source, path)
            for file in files:
                own = f"{root}{file}" if root.endswith("/") else f"{root}/{file}"
                if own in self.sizes:
                    self.explained.add(own)
                    self.parts[(package.name, package.version, source)].files[own] = None

    def report(self) -> dict[str, Any]:
        """``components``, ``coverage``, ``findings``, ``limits``."""
        self._installed()
        self.tell(*self.started.rest())
        octets = sum(self.sizes.values())
        known = self.explained & self.sizes.keys()
        explained = sum(self.sizes[path] for path in known)
        dark = sorted(self.sizes.keys() - known, key=lambda path: -self.sizes[path])
        parts = sorted(self.parts.values(), key=lambda part: (part.name, part.version, part.source))
        return {
            "components": [part.as_json() for part in parts],
            "coverage": {
                "files": len(self.sizes),
                "bytes": octets,
                "files_explained": len(known),
                "bytes_explained": explained,
                "share_of_files": round(len(known) / len(self.sizes), 4) if self.sizes else 0.0,
                "share_of_bytes": round(explained / octets, 4) if octets else 0.0,
                "largest_unexplained": [{"path": path, "bytes": self.sizes[path]} for path in dark[:20]],
            },
            "findings": [
                {
                    "code": one.flaw.code,
                    "severity": one.flaw.severity.value,
                    "path": one.path,
                    "message": one.message,
                    "advice": one.flaw.advice,
                    "provisions": list(one.flaw.provisions),
                }
                for one in sorted(
                    self.flaws.values(), key=lambda one: (-one.flaw.severity.rank, one.flaw.code, one.path)
                )
            ],
            "limits": [{"path": cut.path, "reason": cut.reason} for cut in self.budget.cuts],
        }


def _encoded(version: str) -> str:
    """A version as it stands in a package URL (purl-spec, rules for each component)."""
    return version.replace("%", "%25").replace("+", "%2B").replace(":", "%3A").replace(" ", "%20").replace("@", "%40")


def _root(path: str) -> str:
    """The root of the file system that a database of packages is of."""
    for folder in ("/var/lib/dpkg", "/usr/lib/opkg", "/var/lib/opkg", "/lib/apk/db", "/usr/lib/dpkg", "/info"):
        place = path.find(folder)
        if place >= 0:
            return path[:place] + "/" if path[:place].endswith("!") else path[:place]
    return path


def _ends(*endings: str) -> Callable[[str], bool]:
    return lambda path: path.endswith(endings)


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda path: compiled.search(path) is not None


def _telling(look: Callable[[str, str], Iterator[Found]]) -> "Callable[[Check, str, str], None]":
    return lambda check, path, text: check.tell(*look(path, text))


_BOOT_SCRIPT = (
    r"/etc/(?:init\.d/|rc[S0-9]?\.d/S|rc\.local$|rc\.d/|rcS$|profile$|inetd\.conf$|xinetd\.d/|systemd/system/[^/]*\.wants/|init/)"
    r"|/lib/systemd/system/[^/]*\.wants/"
)
_LOOKS: "tuple[tuple[Callable[[str], bool], Callable[[Check, str, str], None]], ...]" = (
    (_ends("/etc/passwd", "/etc/shadow", "/etc/passwd-", "/etc/shadow-"), _telling(system.accounts)),
    (_ends("/etc/inittab"), _telling(system.inittab)),
    (_matches(_BOOT_SCRIPT), _telling(system.commands)),
    (_ends("/sshd_config"), _telling(system.ssh)),
    (_matches(r"/(?:wpa_supplicant[^/]*|hostapd[^/]*)\.conf$"), _telling(system.wifi)),
    (
        _matches(r"/(?:boot/config-[^/]+|\.config|proc/config|config(?:\.gz)?(?:!/config)?)$"),
        _telling(system.kernel_config),
    ),
    (
        _matches(r"/(?:cmdline\.txt|extlinux\.conf|boot\.cmd|uEnv\.txt|grub\.cfg|boot\.scr[^/]*)$"),
        _telling(system.boot_arguments),
    ),
    (_matches(r"/(?:opkg\.conf|mender\.conf|swupdate\.cfg)$|/rauc/system\.conf$|/etc/apt/"), _telling(system.updates)),
    (_matches(r"/var/lib/dpkg/(?:status|status\.d/[^/]+)$"), Check.dpkg),
    (_ends("/usr/lib/opkg/status", "/var/lib/opkg/status"), Check.opkg),
    (_ends("/lib/apk/db/installed"), Check.apk),
    (_matches(r"/(?:dpkg|opkg)/info/[^/]+\.list$"), Check.file_list),
    (_ends("/etc/os-release", "/usr/lib/os-release"), Check.release),
)


def check_image(name: str, data: bytes, budget: Budget, now: datetime) -> dict[str, Any]:
    """The report on an image called ``name``."""
    check = Check(budget, now)
    for seen in walk(name, data, budget):
        check.take(seen)
    return check.report()


def check_tree(entries: Iterator[Entry], budget: Budget, now: datetime) -> dict[str, Any]:
    """The report on a folder that somebody else lists."""
    check = Check(budget, now)
    for seen in walk_tree(entries, budget):
        check.take(seen)
    return check.report()


def warm_up() -> None:
    """Loads everything that looking needs, before the process gives up the right to open files."""
    b"\xff".decode("utf-8", "replace").encode("utf-8", "surrogateescape")
    certificate = b"-----BEGIN CERTIFICATE-----\n" + b"A" * 128 + b"\n-----END CERTIFICATE-----"
    list(secrets.certificates("/x", certificate, datetime.min.replace(tzinfo=UTC)))
    list(secrets.keys("/x", certificate.replace(b"CERTIFICATE", b"RSA PRIVATE KEY")))
    list(secrets.keys("/x", certificate.replace(b"CERTIFICATE", b"OPENSSH PRIVATE KEY")))
