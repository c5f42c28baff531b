"""The parent's side of a firmware check: opens the image (or lists a folder into an archive without a name) and hands it over."""

import os
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from bastide.adapters.sandbox.parser import child
from bastide.core.error import NotFound, Unreadable

MODULE = "bastide.controller.workers.firmware"
MEMORY_BYTES = 6 * 1024**3
MAX_BYTES = 2 << 30
MAX_FILES = 500_000
SILENCE_SECONDS = 120.0


def check_firmware(path: Path, seconds: float, told: Callable[[dict[str, Any]], None] | None = None) -> dict[str, Any]:
    """The report of the sandboxed process on an image, an archive or a folder.

    ``NotFound`` where there is none, ``Unreadable`` where it is larger than a check takes.
    """
    with _opened(path) as (file, tree, left_out):
        order = {
            "descriptor": file.fileno(),
            "name": path.name or "image",
            "tree": tree,
            "memory_bytes": MEMORY_BYTES,
            "seconds": seconds,
        }
        with child(MODULE, [file.fileno()], {}) as process:
            for answer in process.lines(order, SILENCE_SECONDS + seconds):
                if "report" in answer:
                    report: dict[str, Any] = answer["report"]
                    report["limits"] = left_out + report["limits"]
                    return report
                if told is not None:
                    told(answer)
            raise process.ended()


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], bool, list[dict[str, str]]]]:
    """(an open file, whether it is an archive of a folder, what could not be read of it)."""
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise NotFound(f"{path} cannot be read: {getattr(error, 'strerror', error)}.") from error
    if stat.S_ISDIR(found.st_mode):
        with tempfile.TemporaryFile() as archive:
            left_out = _listed(path, archive)
            archive.seek(0)
            yield archive, True, left_out
        return
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISBLK(found.st_mode):
        raise Unreadable(f"{path} is no file and no folder; give an image, an archive or a folder.")
    if found.st_size > MAX_BYTES:
        raise Unreadable(f"{path} is larger than {MAX_BYTES >> 30} GiB; check its parts.")
    try:
        image = path.open("rb")
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}.") from error
    with image:
        yield image, False, []


def _listed(folder: Path, archive: IO[bytes]) -> list[dict[str, str]]:
    """Writes a folder into a tar, links as links; what cannot be read is told and left out."""
    left_out: list[dict[str, str]] = []
    octets = files = 0

    def leave(path: str, reason: str) -> None:
        if len(left_out) < 1000:
            left_out.append({"path": path, "reason": reason})

    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as made:
        for base, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted([*folders, *names]):
                full = os.path.join(base, name)
                inside = os.path.relpath(full, folder)
                files += 1
                try:
                    info = made.gettarinfo(full, inside)
                    if info is None or files > MAX_FILES or octets + info.size > MAX_BYTES:
                        leave(
                            "/" + inside,
                            "it is a socket" if info is None else "the folder holds more than a check takes",
                        )
                        continue
                    octets += info.size
                    # A hard link is a file like others here.
                    if info.islnk():
                        info.type, info.linkname, info.size = tarfile.REGTYPE, "", os.stat(full).st_size
                    if info.isreg():
                        with open(full, "rb") as content:
                            made.addfile(info, content)
                    else:
                        made.addfile(info)
                except OSError as error:
                    leave("/" + inside, f"it cannot be read: {error.strerror}")
    return left_out
