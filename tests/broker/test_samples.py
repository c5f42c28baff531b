"""Sample files: one writer, any readers, and crashes between any two steps."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.adapters.samples.engine import engine
from bastide.adapters.samples.reader import SampleStore
from bastide.adapters.samples.segments import MERGE, Segment, merged, next_merge, read_name, visible
from bastide.adapters.samples.writer import PartitionTaken, PartitionWriter
from bastide.core.error import Unavailable
from bastide.core.ids import DeviceId

DEVICE = DeviceId("d-" + "a" * 20)
AT = datetime(2026, 1, 5, 8, tzinfo=UTC)
LONG_AGO = AT - timedelta(days=400)


def fill(writer: PartitionWriter, batches: int, start: int = 1, at: datetime = AT) -> None:
    """A file for each batch, with two messages."""
    microseconds = int(at.timestamp() * 1_000_000)
    for number in range(start, start + batches):
        entries = [(DEVICE, "telemetry", microseconds + number, {"t": float(index), "on": True}) for index in (0, 1)]
        writer.store([(number, entries)])


segments = st.lists(
    st.builds(
        lambda first, width, level: Segment(first, first + width, level, 0, 1),
        st.integers(0, 200),
        st.integers(0, 40),
        st.integers(0, 5),
    ),
    max_size=30,
)


@given(st.builds(Segment, *[st.integers(0, 2**62)] * 2, st.integers(0, 9), *[st.integers(0, 10**11)] * 2))
def test_a_name_says_all_that_a_segment_is(segment: Segment) -> None:
    assert read_name(segment.name) == segment


@pytest.mark.parametrize("name", ["", "x.parquet", "0-1-2-3-4.parquet", ".lock", "0-" + "0" * 16 + "-1.parquet.new"])
def test_other_files_are_no_segments(name: str) -> None:
    assert read_name(name) is None


@given(st.integers(1, 400))
def test_merging_again_and_again_keeps_every_batch_once_and_few_files(flushes: int) -> None:
    held: list[Segment] = []
    for number in range(1, flushes + 1):
        held.append(Segment(number, number, 0, number, number + 1))
        while parts := next_merge(visible(held), [1000] * len(visible(held))):
            held.append(merged(parts))
            crashed = visible(held)  # the parts are still there
            assert sum(one.last - one.first + 1 for one in crashed) == number
            held = list(crashed)
    assert len(held) < 4 * MERGE
    assert (held[0].first, held[-1].last) == (1, flushes)


def test_files_beyond_the_limit_are_left_alone() -> None:
    run = tuple(Segment(number, number, 0, 0, 1) for number in range(MERGE))
    assert next_merge(run, [10**9] * MERGE) == ()


async def test_a_crash_while_merging_neither_loses_nor_doubles(tmp_path: Path) -> None:
    writer, reader = PartitionWriter(tmp_path, "p0"), SampleStore(tmp_path)
    fill(writer, MERGE)
    parts = {path.name: path.read_bytes() for path in (tmp_path / "p0").glob("*.parquet")}
    assert writer.merge() is True
    assert len(writer.segments()) == 1
    writer.close()

    for name, content in parts.items():  # as if it died before it removed them
        (tmp_path / "p0" / name).write_bytes(content)
    (tmp_path / "p0" / "1-half-written.parquet.new").write_bytes(b"half")
    assert await reader.count(None, LONG_AGO) == 4 * MERGE
    again = PartitionWriter(tmp_path, "p0")
    assert again.last_batch == MERGE
    assert len(list((tmp_path / "p0").glob("*.parquet*"))) == 1
    assert await reader.count(None, LONG_AGO) == 4 * MERGE
    assert await reader.messages(DEVICE, LONG_AGO) == 2 * MERGE
    again.close()
    reader.close()


async def test_readers_always_see_every_sample_while_files_are_merged(tmp_path: Path) -> None:
    writer, reader = PartitionWriter(tmp_path, "p0"), SampleStore(tmp_path)
    seen: list[int] = []
    done = asyncio.Event()

    async def read() -> None:
        while not done.is_set():
            seen.append(await reader.count(DEVICE, LONG_AGO))

    def write() -> None:
        for number in range(1, 3 * MERGE + 1):
            fill(writer, 1, start=number)
            writer.merge()

    reading = asyncio.create_task(read())
    await asyncio.to_thread(write)
    done.set()
    await reading
    assert seen == sorted(seen)
    assert await reader.count(DEVICE, LONG_AGO) == 12 * MERGE
    writer.close()
    reader.close()


def test_a_partition_has_one_writer(tmp_path: Path) -> None:
    writer = PartitionWriter(tmp_path, "p0")
    with pytest.raises(PartitionTaken):
        PartitionWriter(tmp_path, "p0")
    PartitionWriter(tmp_path, "p1").close()
    writer.close()
    PartitionWriter(tmp_path, "p0").close()


def test_old_files_go_by_age_and_by_bytes_and_the_newest_stays(tmp_path: Path) -> None:
    writer = PartitionWriter(tmp_path, "p0")
    fill(writer, 3, at=AT - timedelta(days=40))
    fill(writer, 3, start=4)
    assert writer.expire(AT, timedelta(days=30), 10**9) == 3
    assert writer.expire(AT, timedelta(days=30), 1) == 2
    assert [one.last for one in writer.segments()] == [6]
    assert writer.expire(AT + timedelta(days=400), timedelta(days=30), 1) == 0
    writer.close()


def test_a_full_disk_is_said_and_leaves_no_half_file(tmp_path: Path) -> None:
    writer = PartitionWriter(tmp_path, "p0")
    fill(writer, 1)
    folder = tmp_path / "p0"
    aside = tmp_path / "aside"
    folder.rename(aside)
    with pytest.raises(Unavailable) as failed:
        fill(writer, 1, start=2)
    assert failed.value.reason == "samples:unwritable"
    assert writer.last_batch == 1
    aside.rename(folder)
    fill(writer, 1, start=2)
    assert writer.last_batch == 2
    assert not list(folder.glob("*.new"))
    writer.close()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_text('/etc/hostname')",
        "COPY (SELECT 1) TO '/tmp/elsewhere.parquet'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "ATTACH '/tmp/x.db'",
        "SET enable_external_access=true",
        "SELECT * FROM 'https://example.org/x.parquet'",
    ],
)
def test_the_engine_touches_nothing_but_its_folder(tmp_path: Path, query: str) -> None:
    import duckdb

    connection = engine(tmp_path, 64)
    with pytest.raises(duckdb.Error):
        connection.execute(query)
    connection.close()
