"""A clock that is set back or far forward changes nothing of what a device trusts."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.adapters.tuf.client import Client, RepositoryRefused, initialise
from bastide.device.release.clock import AGREEMENT, trusted_time
from tests.agent.repository import Repository, serving

NOW = datetime.now(UTC).replace(microsecond=0)
LONG = timedelta(days=20_000)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@pytest.fixture
def repository() -> Iterator[Repository]:
    with serving(Repository()) as served:
        yield served


def refresh(repository: Repository, folder: Path, now: datetime) -> None:
    root = folder / "shipped.json"
    root.write_bytes(repository.files["metadata/1.root.json"])
    initialise(folder / "trusted", root)
    Client(folder / "trusted", f"{repository.url}/metadata/", now).refresh()


def test_a_clock_set_back_does_not_let_expired_metadata_live_again(repository: Repository, tmp_path: Path) -> None:
    repository.timestamp.expires = NOW - timedelta(days=1)
    repository.publish("timestamp")
    back = NOW - timedelta(days=30)
    (tmp_path / "a").mkdir()
    refresh(repository, tmp_path / "a", back)
    (tmp_path / "b").mkdir()
    with pytest.raises(RepositoryRefused, match="xpired"):
        refresh(repository, tmp_path / "b", trusted_time(NOW, [back, back]).now)


def test_one_clock_set_far_forward_does_not_let_good_metadata_expire(repository: Repository, tmp_path: Path) -> None:
    forward = NOW + LONG
    (tmp_path / "a").mkdir()
    with pytest.raises(RepositoryRefused, match="xpired"):
        refresh(repository, tmp_path / "a", forward)
    (tmp_path / "b").mkdir()
    refresh(repository, tmp_path / "b", trusted_time(NOW, [forward, NOW, NOW + timedelta(seconds=9)]).now)


@given(TIMES, st.lists(TIMES, max_size=5))
def test_the_time_never_goes_back_and_a_minority_never_moves_it(floor: datetime, sources: list[datetime]) -> None:
    told = trusted_time(floor, sources)
    assert told.now >= floor
    if told.now > floor:
        near = [one for one in sources if told.now <= one <= told.now + AGREEMENT]
        assert len(near) >= 2
        assert len(near) * 2 > len(sources)
