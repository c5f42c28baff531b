"""Package databases: dpkg, opkg, apk. Each names packages, versions and (dpkg, opkg) beside it the files of each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

MAX_PACKAGES = 50_000


@dataclass(frozen=True, slots=True)
class Package:
    """``kind`` is the package URL's type; ``source`` the package that it was built from, where that is another."""

    kind: str
    name: str
    version: str
    architecture: str = ""
    source: str = ""
    files: tuple[str, ...] = ()


def stanzas(text: str) -> Iterator[Mapping[str, str]]:
    """RFC 822-like paragraphs (Debian Policy 5.1); lines that go on are joined."""
    fields: dict[str, str] = {}
    last = ""
    for line in text.splitlines():
        if not line.strip():
            if fields:
                yield fields
            fields, last = {}, ""
        elif line[0] in " \t" and last:
            fields[last] += "\n" + line.strip()
        elif ":" in line:
            name, _, value = line.partition(":")
            last = name.strip().lower()
            fields[last] = value.strip()
    if fields:
        yield fields


def dpkg(text: str, kind: str = "deb") -> list[Package]:
    """``/var/lib/dpkg/status`` and opkg's ``status``: what is installed, not what was removed."""
    found: list[Package] = []
    for fields in stanzas(text):
        name, version, status = fields.get("package", ""), fields.get("version", ""), fields.get("status", "installed")
        if not name or not version or len(found) >= MAX_PACKAGES:
            continue
        if (
            not any(word in status for word in ("installed", "unpacked", "half-configured", "triggers"))
            or "not-installed" in status
        ):
            continue
        source = fields.get("source", "").partition(" ")[0]
        found.append(Package(kind, name, version, fields.get("architecture", ""), source if source != name else ""))
    return found


def apk(text: str) -> list[Package]:
    """``/lib/apk/db/installed`` (Alpine, apk v2): one letter a field, files below their folders."""
    found: list[Package] = []
    for paragraph in text.split("\n\n"):
        fields: dict[str, str] = {}
        files, folder = [], ""
        for line in paragraph.splitlines():
            letter, colon, value = line.partition(":")
            if not colon:
                continue
            if letter == "F":
                folder = value
            elif letter == "R":
                files.append(f"{folder}/{value}".lstrip("/"))
            elif letter in "PVAo":
                fields[letter] = value
        if fields.get("P") and fields.get("V") and len(found) < MAX_PACKAGES:
            source = fields.get("o", "")
            found.append(
                Package(
                    "apk",
                    fields["P"],
                    fields["V"],
                    fields.get("A", ""),
                    source if source != fields["P"] else "",
                    tuple(files),
                )
            )
    return found


def file_list(text: str) -> tuple[str, ...]:
    """``info/NAME.list``: one path a line (opkg puts mode and target behind a tab)."""
    return tuple(line.split("\t")[0].strip().lstrip("/") for line in text.splitlines() if line.strip())


def distribution(text: str) -> tuple[str, str]:
    """(ID, VERSION_ID) of ``/etc/os-release``."""
    fields = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            fields[name.strip()] = value.strip().strip("\"'")
    return fields.get("ID", ""), fields.get("VERSION_ID", "")
