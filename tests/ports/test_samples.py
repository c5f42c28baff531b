"""The sample store: one suite over the one in memory and the Parquet files."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path

import pytest

from bastide.adapters.samples.reader import SampleStore
from bastide.adapters.samples.writer import Columns, PartitionWriter
from bastide.core.ids import DeviceId
from bastide.ports.platform.samples import Sample, Samples
from bastide.testing import MemorySamples, SequentialIds
from bastide.testing.clock import EPOCH

ids = SequentialIds("samples")
A, B = DeviceId(ids.mint("d")), DeviceId(ids.mint("d"))
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Store:
    reads: Samples
    add: Callable[[Sequence[Sample]], None]


@pytest.fixture(params=["memory", "parquet"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        memory = MemorySamples()
        yield Store(memory, memory.add)
        return
    writer, reader = PartitionWriter(tmp_path, "p0"), SampleStore(tmp_path)

    def add(samples: Sequence[Sample]) -> None:
        columns = Columns()
        for sample in samples:
            at = int(sample.at.timestamp() * 1_000_000)
            columns.add(sample.device, sample.channel, at, {sample.field: sample.value}, sample.sequence)
        writer.write(columns, writer.last_batch + 1, writer.last_batch + 1)

    yield Store(reader, add)
    reader.close()
    writer.close()


def sample(number: int, value: float | str | bool = 0.0, field: str = "temperature", device: DeviceId = A) -> Sample:
    return Sample(device, "telemetry", field, EPOCH + number * MINUTE, value, number)


async def test_an_empty_store_answers_with_nothing(store: Store) -> None:
    assert list(await store.reads.series(A, "temperature", EPOCH, EPOCH + MINUTE, 10)) == []
    assert list(await store.reads.fields(A, EPOCH)) == []
    assert await store.reads.count(None, EPOCH) == 0


async def test_a_series_is_the_means_of_equal_slices_of_time_oldest_first(store: Store) -> None:
    store.add([sample(n, float(n)) for n in range(10)])
    series = await store.reads.series(A, "temperature", EPOCH, EPOCH + 10 * MINUTE, 5)
    assert [(at.astimezone(UTC), value) for at, value in series] == [
        (EPOCH + n * MINUTE, n + 0.5) for n in range(0, 10, 2)
    ]


async def test_a_series_holds_its_beginning_and_not_its_end_and_only_numbers_of_that_device(store: Store) -> None:
    store.add([sample(1, 1.0), sample(2, 2.0), sample(3, 3.0), sample(4, 4.0)])
    store.add([sample(2, 99.0, device=B), sample(2, "warm", "comfort"), sample(3, True, "heating")])
    series = await store.reads.series(A, "temperature", EPOCH + 2 * MINUTE, EPOCH + 4 * MINUTE, 100)
    assert [value for _, value in series] == [2.0, 3.0]
    assert list(await store.reads.series(A, "comfort", EPOCH, EPOCH + 9 * MINUTE, 100)) == []
    assert list(await store.reads.series(A, "heating", EPOCH, EPOCH + 9 * MINUTE, 100)) == []


async def test_fields_and_counts_are_of_a_device_and_a_time(store: Store) -> None:
    store.add([sample(1, 1.0), sample(2, True, "heating"), sample(5, "on", "mode"), sample(6, 6.0, device=B)])
    assert list(await store.reads.fields(A, EPOCH)) == ["heating", "mode", "temperature"]
    assert list(await store.reads.fields(A, EPOCH + 3 * MINUTE)) == ["mode"]
    assert await store.reads.count(A, EPOCH) == 3
    assert await store.reads.count(None, EPOCH + 5 * MINUTE) == 2


async def test_files_without_a_text_and_files_with_one_are_read_and_merged_together(tmp_path: Path) -> None:
    writer, reader = PartitionWriter(tmp_path, "p0"), SampleStore(tmp_path)
    values: list[float | str | bool] = [float(n) for n in range(20)]
    values[9], values[12] = "warm", True
    for number, value in enumerate(values):
        columns = Columns()
        columns.add(A, "telemetry", int((EPOCH + number * MINUTE).timestamp() * 1e6), {"mode": value}, number)
        writer.write(columns, number + 1, number + 1)
    before = await reader.latest(A, 100)
    while writer.merge():
        pass
    assert len(writer.segments()) < 20
    assert [value for _, _, value in await reader.latest(A, 100)] == values[::-1]
    assert await reader.latest(A, 100) == before
    reader.close()
    writer.close()
