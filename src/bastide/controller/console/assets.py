"""Static files, read once, under an address that names their content.

The address holds a digest of the whole tree, so a file may be cached for ever and a new version is fetched at once.
Only files that were there at start are served: a path never reaches the file system.
"""

import gzip
import mimetypes
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

_TYPES = {".woff2": "font/woff2", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_PACKED = (".js", ".css", ".svg", ".txt")


@dataclass(frozen=True, slots=True)
class Asset:
    """``packed`` is the gzip form, empty where packing does not pay (fonts are compressed already)."""

    content: bytes
    packed: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Assets:
    digest: str
    by_path: dict[str, Asset]

    @classmethod
    def load(cls) -> "Assets":
        root = files("bastide.controller.console").joinpath("static")
        found = dict(sorted(_walk(root, "")))
        digest = sha256()
        for path, content in found.items():
            digest.update(f"{path}\0{len(content)}\0".encode() + content)
        return cls(digest.hexdigest()[:16], {path: _asset(path, content) for path, content in found.items()})

    def address(self, path: str) -> str:
        """The address of a file; a path that does not exist is our own mistake and raises."""
        if path not in self.by_path:
            raise KeyError(path)
        return f"/static/{self.digest}/{path}"


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _walk(entry, f"{prefix}{entry.name}/")
        elif not entry.name.startswith("."):
            found.append((prefix + entry.name, entry.read_bytes()))
    return found


def _asset(path: str, content: bytes) -> Asset:
    suffix = "." + path.rpartition(".")[2]
    media_type = _TYPES.get(suffix) or mimetypes.guess_type(path)[0] or "application/octet-stream"
    return Asset(content, gzip.compress(content, 9, mtime=0) if suffix in _PACKED else b"", media_type)
