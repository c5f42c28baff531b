"""Files that a person names: bounded, and refused with one sentence."""

from pathlib import Path

from bastide.core.error import NotFound, Unavailable, Unreadable

MAX_BASE = 64 * 1024 * 1024
MAX_LABELS = 16 * 1024 * 1024


def read_file(path: Path, most: int, what: str) -> bytes:
    """The octets of a file. ``NotFound``, ``Unavailable`` or ``Unreadable`` with a sentence."""
    try:
        if not path.is_file():
            raise NotFound(f"There is no file {path}; name the {what}.")
        with path.open("rb") as file:
            octets = file.read(most + 1)
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error.strerror}.") from error
    if len(octets) > most:
        raise Unreadable(f"{path} is larger than {most >> 20} MiB; that is no {what}.")
    return octets


def read_text(path: Path, most: int, what: str) -> str:
    """The same as text in UTF-8."""
    try:
        return read_file(path, most, what).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"{path} is not text in UTF-8; save the {what} in that encoding.") from error
