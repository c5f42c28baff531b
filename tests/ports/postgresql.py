"""A PostgreSQL of our own: a cluster in a temporary folder, on a free port of loopback, gone with the test session."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

# Tests run one after the other, and each makes one or two.
KEPT = 8
MEMORY, ROOM_BYTES = Path("/dev/shm"), 1 << 30


@dataclass(frozen=True, slots=True)
class Cluster:
    """``url(name)`` is a database of it, as SQLAlchemy spells it. Of copies the newest are kept."""

    port: int
    copies: deque[str] = field(default_factory=deque)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def create(self, database: str, template: str = "template1") -> str:
        with psycopg.connect(f"postgresql://postgres@127.0.0.1:{self.port}/postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}"'.encode())
            if template != "template1":
                self.copies.append(database)
            if len(self.copies) > KEPT:
                connection.execute(f'DROP DATABASE "{self.copies.popleft()}" WITH (FORCE)'.encode())
        return self.url(database)


def programs() -> Path:
    """The folder of the newest PostgreSQL; skips where there is none, and fails with CI=true."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not found:
        sentence = "PostgreSQL is not installed; `make peers` installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(sentence)
        pytest.skip(sentence)
    return found[-1].parent


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Initialises and starts one. PostgreSQL refuses to run as root, so root hands it to the user postgres."""
    folder = programs()
    # In memory where there is room: a copy of a database is made for each test, and takes a third of a second on a disk.
    room = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM_BYTES
    home = Path(tempfile.mkdtemp(prefix="bastide-pg-", dir=MEMORY if room else None))
    user = None
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres").pw_name
        shutil.chown(home, user, user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = home / "data"
    initdb: list[str | Path] = [
        folder / "initdb",
        "-D",
        data,
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--no-locale",
        "-N",
    ]
    options = f"-p {port} -k {home} -c listen_addresses=127.0.0.1 -c max_connections=60"
    # It lives as long as the tests do: nobody waits for its files.
    options += " -c fsync=off -c full_page_writes=off"
    start: list[str | Path] = [folder / "pg_ctl", "-D", data, "-l", home / "log", "-w", "-o", options, "start"]
    try:
        subprocess.run(initdb, user=user, check=True, capture_output=True, cwd=home)
        subprocess.run(start, user=user, check=True, stdout=subprocess.DEVNULL, cwd=home)
        try:
            yield Cluster(port)
        finally:
            stop: list[str | Path] = [folder / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"]
            subprocess.run(stop, user=user, check=True, capture_output=True, cwd=home)
    finally:
        shutil.rmtree(home, ignore_errors=True)
