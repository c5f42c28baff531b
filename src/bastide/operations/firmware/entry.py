"""One thing in a file tree, whatever container it came from."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    NODE = "node"


@dataclass(frozen=True, slots=True)
class Entry:
    """``path`` has no leading slash, no ``.`` and no ``..``: what would leave the tree was taken off. ``mode`` are the
    permission bits (0 where the container has none), ``target`` a link's, ``content`` a file's."""

    path: str
    kind: Kind
    mode: int = 0
    uid: int = 0
    content: bytes = b""
    target: str = ""


def clean(path: str) -> str:
    """The path inside the tree; parts that would leave it are dropped."""
    return "/".join(part for part in path.replace("\\", "/").split("/") if part not in ("", ".", ".."))


def kind_of(mode: int) -> Kind:
    """By the type bits of a Unix mode."""
    return {0o040000: Kind.FOLDER, 0o120000: Kind.LINK, 0o100000: Kind.FILE, 0: Kind.FILE}.get(
        mode & 0o170000, Kind.NODE
    )
