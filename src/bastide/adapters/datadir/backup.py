"""Taking a backup of an installation that runs, and putting one back.

The database and the signer's folder must fit together: a ledger that is older than the last tree head that the signer signed is
refused as set back. So the signer's files are copied, and the database's snapshot begun, while nobody may write to the database;
what is copied is then what a crash at that moment would have left, from which every part goes on by itself. The snapshot is read
to its end after the writers were let go.

Not in it: the shares of the root's key (they belong elsewhere), logs, sockets, what the broker holds for devices that are away.
"""

import gzip
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from bastide.adapters.datadir.layout import MARKER, DataDirectory
from bastide.adapters.datadir.seal import BackupUnreadable, Sealer, Unsealer
from bastide.core.error import Refused, Unavailable

LOCK_SECONDS = 30.0
MANIFEST = "backup.json"
MAX_MANIFEST = 65_536
_LEFT_OUT = frozenset({"lock", "server.log", "nats.pid", "state.db-wal", "state.db-shm"})
_SAMPLES_TRIES = 5


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds: when it was made, files and octets before they were packed, and the ledger's size."""

    made_at: str
    files: int
    octets: int
    records: int


def take(directory: DataDirectory, out: Path, passphrase: str, now: datetime, *, database: bool = True) -> Backup:
    """Writes a backup, whole or not at all. ``Refused`` where there is nothing to back up, or the file is there already."""
    _check_source(directory, out, database=database)
    aside = out.with_name(f".{out.name}.new")
    try:
        with tempfile.TemporaryDirectory(prefix="backup-", dir=directory.path / "run") as folder:
            copied = Path(folder)
            records = _copy_together(directory, copied) if database else _copy_signer(directory, copied)
            descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                told = {"made_at": now.isoformat(timespec="seconds")}
                made = _write(directory, copied, cast("IO[bytes]", file), passphrase, told, records)
                file.flush()
                os.fsync(file.fileno())
        aside.replace(out)
    except OSError as error:
        raise Unavailable(
            f"The backup could not be written: {error}. Nothing was changed.", code="backup:io"
        ) from error
    finally:
        aside.unlink(missing_ok=True)
    return made


def look(backup: Path, passphrase: str) -> Backup:
    """What a backup holds, after it was read to its end."""
    with _opened(backup) as file, Unsealer(file, passphrase) as sealed:
        found: Backup | None = None
        for member, content in _members(sealed):
            if member.name == MANIFEST:
                found = _manifest(content)
            else:
                while content.read(1 << 20):
                    pass
    return _whole(found)


def restore(backup: Path, directory: DataDirectory, passphrase: str) -> Backup:
    """Puts a backup back where nothing is, whole or not at all."""
    target = directory.path
    if target.exists() and any(target.iterdir()):
        raise Refused(
            f"{target} is not empty, and a backup is put back where nothing is. Move it away, or name another with --data.",
            code="backup:restore:occupied",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.restoring")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    found: Backup | None = None
    try:
        with _opened(backup) as file, Unsealer(file, passphrase) as sealed:
            for member, content in _members(sealed):
                if member.name == MANIFEST:
                    found = _manifest(content)
                else:
                    _place(aside, member, content)
        made = _whole(found)
        _check_database(aside / directory.database.name)
        if target.exists():
            target.rmdir()
        aside.rename(target)
    except OSError as error:
        raise Unavailable(f"The backup could not be put back: {error}.", code="backup:io") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return made


def _check_source(directory: DataDirectory, out: Path, *, database: bool) -> None:
    if not (directory.path / MARKER).exists():
        raise Refused(f"{directory.path} is no data directory of Bastide; name it with --data.", code="backup:source")
    if database and not directory.database.exists():
        raise Refused(
            f"There is no database in {directory.path}. If the state is in PostgreSQL, back that up with pg_dump, "
            "then the rest with --without-database, in this order.",
            code="backup:database",
        )
    if out.exists():
        raise Refused(f"{out} is there already, and no backup is written over.", code="backup:exists")


def _copy_together(directory: DataDirectory, into: Path) -> int:
    """Signer and database of one moment; gives how many records the ledger has."""
    uri = f"{directory.database.resolve().as_uri()}?mode=rw"
    try:
        writer = sqlite3.connect(uri, uri=True, timeout=LOCK_SECONDS, isolation_level=None)
        reader = sqlite3.connect(uri, uri=True, timeout=LOCK_SECONDS, isolation_level=None)
        try:
            writer.execute("BEGIN IMMEDIATE")
            reader.execute("BEGIN")
            reader.execute("SELECT 1 FROM sqlite_master").fetchone()  # the snapshot begins here
            _copy_signer(directory, into)
            writer.execute("ROLLBACK")
            (records,) = reader.execute("SELECT COUNT(*) FROM ledger_records").fetchone()
            copy = sqlite3.connect(into / directory.database.name)
            try:
                reader.backup(copy)
            finally:
                copy.close()
        finally:
            reader.close()
            writer.close()
    except sqlite3.Error as error:
        raise Unavailable(f"The database could not be copied: {error}. Try again.", code="backup:database") from error
    return int(records)


def _copy_signer(directory: DataDirectory, into: Path) -> int:
    shutil.copytree(directory.signer, into / directory.signer.name, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    return 0


def _write(
    directory: DataDirectory, copied: Path, out: IO[bytes], passphrase: str, told: dict[str, str], records: int
) -> Backup:
    files = octets = 0
    with (
        Sealer(cast("Any", out), passphrase, told) as sealed,
        gzip.GzipFile(fileobj=cast("Any", sealed), mode="wb", compresslevel=3, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|") as archive,
    ):
        for name, path in _to_take(directory, copied):
            size = _add(archive, name, path)
            files, octets = files + (size >= 0), octets + max(size, 0)
        made = Backup(told["made_at"], files, octets, records)
        manifest = json.dumps({"made_at": made.made_at, "files": files, "octets": octets, "records": records}).encode()
        head = tarfile.TarInfo(MANIFEST)
        head.size = len(manifest)
        archive.addfile(head, BytesIO(manifest))
    return made


def _to_take(directory: DataDirectory, copied: Path) -> Iterator[tuple[str, Path]]:
    yield from _below(copied, copied)
    for one in (MARKER, directory.settings.name, directory.operator_token.name):
        if (directory.path / one).exists():
            yield one, directory.path / one
    for folder in (directory.trust, directory.tls):
        yield from _below(folder, directory.path)
    for path in sorted(directory.nats.iterdir()):
        if path.is_file() and path.name not in _LEFT_OUT:
            yield path.relative_to(directory.path).as_posix(), path
    # The timestamp names everything else of the repository, and is written last: what it names when it is taken is there.
    stamp = directory.releases / "metadata" / "timestamp.json"
    if stamp.exists():
        yield stamp.relative_to(directory.path).as_posix(), stamp
    yield from (one for one in _below(directory.releases, directory.path) if one[1] != stamp)
    taken: set[str] = set()
    for _ in range(_SAMPLES_TRIES):  # small files are merged into larger ones meanwhile
        found = [one for one in _below(directory.samples, directory.path) if one[0] not in taken]
        if not found:
            break
        taken |= {name for name, _ in found}
        yield from found


def _below(folder: Path, base: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.name not in _LEFT_OUT:
            yield path.relative_to(base).as_posix(), path


def _add(archive: tarfile.TarFile, name: str, path: Path) -> int:
    """The file's size; -1 where it is gone by now."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return -1
    with file:
        head = tarfile.TarInfo(name)
        found = os.fstat(file.fileno())
        head.size, head.mode, head.mtime = found.st_size, found.st_mode & 0o777, int(found.st_mtime)
        archive.addfile(head, file)
    return head.size


def _opened(backup: Path) -> Any:
    try:
        return backup.open("rb")
    except OSError as error:
        raise Refused(f"{backup} cannot be read: {error.strerror}.", code="backup:file") from error


def _members(sealed: Unsealer) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    try:
        with (
            gzip.GzipFile(fileobj=cast("Any", sealed), mode="rb") as packed,
            tarfile.open(fileobj=packed, mode="r|") as archive,
        ):
            for member in archive:
                content = archive.extractfile(member)
                if not member.isreg() or content is None:
                    raise BackupUnreadable(f"{member.name[:100]!r} in the backup is no file.")
                yield member, content
            while packed.read(1 << 20):
                pass
    except (tarfile.TarError, gzip.BadGzipFile, EOFError) as error:
        raise BackupUnreadable(f"The backup cannot be read: {error}.") from error


def _place(folder: Path, member: tarfile.TarInfo, content: IO[bytes]) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise BackupUnreadable(f"{member.name[:100]!r} in the backup leads out of it.")
    path = folder / name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, member.mode & 0o700), "wb") as file:
        shutil.copyfileobj(content, file, 1 << 20)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(member.mode & 0o777)


def _manifest(content: IO[bytes]) -> Backup:
    try:
        return Backup(**json.loads(content.read(MAX_MANIFEST)))
    except (ValueError, TypeError) as error:
        raise BackupUnreadable("The backup's own list cannot be read.") from error


def _whole(found: Backup | None) -> Backup:
    if found is None:
        raise BackupUnreadable("The backup lacks its list, so it is not whole.")
    return found


def _check_database(path: Path) -> None:
    if not path.exists():
        return
    database = sqlite3.connect(path)
    try:
        (said,) = database.execute("PRAGMA quick_check").fetchone()
    finally:
        database.close()
    if said != "ok":
        raise BackupUnreadable(f"The database in the backup is damaged: {said}.")
