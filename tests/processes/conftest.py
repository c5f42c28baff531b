"""Bastide running, once for the whole session: tests that only use it share it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.bastide import Bastide


@pytest.fixture
def home() -> Iterator[Path]:
    """A short path: a unix socket's address has little room."""
    path = Path(tempfile.mkdtemp(prefix="bastide-t-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def alone(home: Path) -> Iterator[Bastide]:
    """Started and ready, for one test that stops it or changes what is the whole installation's."""
    town = Bastide(home / "data")
    town.start()
    try:
        yield town
    finally:
        if town.running:
            town.stop()


@pytest.fixture(scope="session")
def bastide() -> Iterator[Bastide]:
    """Started and ready. Devices are added by whoever needs them; a child may be killed in it, but it is never stopped."""
    path = Path(tempfile.mkdtemp(prefix="bastide-s-"))
    running = Bastide(path / "data")
    try:
        running.start()
        yield running
        assert running.stop() == 0
    finally:
        if running.running:
            running.stop()
        shutil.rmtree(path, ignore_errors=True)
