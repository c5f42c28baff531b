"""The data directory: what lies where, and whether it is ours to use.

It is made once with mode 0700 and marked by ``bastide.json``. A directory that holds other things, that a newer release
made, or that others may enter is refused with one sentence; nothing in it is touched.
"""

import hashlib
import json
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bastide.core.error import BastideError

FORMAT = 1
MARKER = "bastide.json"
# sun_path of a unix socket address holds 108 bytes with its ending NUL.
MAX_SOCKET_PATH = 100


class UnusableDirectory(BastideError):
    """The data directory cannot be used; the sentence says why and what to do."""

    code = "datadir:unusable"


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """Where everything lies. Making a value touches nothing; see :func:`open_directory`."""

    path: Path

    @property
    def signer(self) -> Path:
        return self.path / "signer"

    @property
    def signer_socket(self) -> Path:
        """``run/signer.sock``; where that is too long for a socket, a private folder of the system's temporary one."""
        usual = self.path / "run" / "signer.sock"
        if len(str(usual)) <= MAX_SOCKET_PATH:
            return usual
        digest = hashlib.sha256(str(self.path).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"bastide-{os.getuid()}-{digest}" / "signer.sock"

    @property
    def trust(self) -> Path:
        return self.path / "trust"

    @property
    def tls(self) -> Path:
        return self.path / "tls"

    @property
    def database(self) -> Path:
        return self.path / "state.db"

    @property
    def nats(self) -> Path:
        return self.path / "nats"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    @property
    def releases(self) -> Path:
        """The repository of releases that devices fetch from, once somebody made one."""
        return self.path / "releases"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def demo(self) -> Path:
        return self.path / "demo"

    @property
    def operator_token(self) -> Path:
        return self.path / "operator.token"

    @property
    def console_url(self) -> Path:
        """Where the console listens; the commands on this machine read it."""
        return self.path / "run" / "console.url"

    @property
    def sign_in_link(self) -> Path:
        return self.path / "sign-in.link"

    @property
    def settings(self) -> Path:
        return self.path / "bastide.toml"

    @property
    def lock(self) -> Path:
        return self.path / "run" / "lock"


def open_directory(path: Path) -> DataDirectory:
    """The data directory at ``path``, made where there is nothing. ``UnusableDirectory`` where it is not ours to use."""
    directory = DataDirectory(path.expanduser().absolute())
    try:
        existed = directory.path.exists()
        directory.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if existed:
            _check(directory)
        if not (directory.path / MARKER).exists():
            _mark(directory)
        for folder in (
            directory.lock.parent,
            directory.signer_socket.parent,
            directory.trust,
            directory.tls,
            directory.nats,
            directory.samples,
            directory.logs,
        ):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UnusableDirectory(
            f"The data directory {directory.path} cannot be used: {error.strerror}. "
            "Make room or give this user the right to write there, or name another with --data.",
            code="datadir:io",
        ) from error
    return directory


def write_private(path: Path, text: str) -> None:
    """Replaces a file of mode 0600, whole or not at all."""
    aside = path.with_name(f".{path.name}.new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def _check(directory: DataDirectory) -> None:
    found = directory.path.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise UnusableDirectory(f"{directory.path} is not a directory; name another with --data.", code="datadir:form")
    if found.st_uid != os.getuid():
        raise UnusableDirectory(
            f"The data directory {directory.path} belongs to another user (uid {found.st_uid}, you are {os.getuid()}). "
            "Start Bastide as that user, or name another with --data.",
            code="datadir:owner",
        )
    marker = directory.path / MARKER
    if not marker.exists():
        # Settings may be written before the first start.
        if any(entry != directory.settings for entry in directory.path.iterdir()):
            raise UnusableDirectory(
                f"The directory {directory.path} holds other things and was not made by Bastide. "
                "Name an empty or new one with --data.",
                code="datadir:foreign",
            )
        directory.path.chmod(0o700)
    elif stat.S_IMODE(found.st_mode) & 0o077:
        raise UnusableDirectory(
            f"Others may enter the data directory {directory.path} (mode {stat.S_IMODE(found.st_mode):04o}). "
            f"It holds keys: see who did that, then `chmod 700 {directory.path}`.",
            code="datadir:mode",
        )
    else:
        _check_marker(marker, directory)


def _check_marker(marker: Path, directory: DataDirectory) -> None:
    try:
        found = json.loads(marker.read_text())["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise UnusableDirectory(
            f"{marker} cannot be read as Bastide wrote it. Restore the directory from a backup, or name another with --data.",
            code="datadir:marker",
        ) from error
    if found != FORMAT:
        raise UnusableDirectory(
            f"The data directory {directory.path} has format {found}; this release knows {FORMAT}. "
            "A newer Bastide made it: start that release, or name another with --data.",
            code="datadir:newer",
        )


def _mark(directory: DataDirectory) -> None:
    write_private(directory.path / MARKER, json.dumps({"format": FORMAT}) + "\n")
