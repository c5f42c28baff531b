"""The journal between the broker and the files: a lost store, a full disk, an ingest worker that is away."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bastide.adapters.nats.provision import PLANS, provision_platform
from bastide.adapters.nats.uplink import Journal
from bastide.core.standing import Standing
from tests.broker.house import Enrolled, House, opened, until
from tests.peers import require


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    require("mosquitto_pub")
    async with opened(tmp_path) as house:
        yield house


async def stored(house: House, count: int, *, repeated: bool = False) -> None:
    """Waits for that many messages. ``repeated``: a device whose connection ended before its PUBACK may have sent again."""

    async def there() -> bool:
        found = await house.messages()
        return found == count or (repeated and found > count)

    await until(there, f"{count} messages are stored")


async def send(house: House, device: Enrolled, number: int) -> None:
    """Sends until the broker says that it keeps the message, as a device does: a broker that just came back may refuse."""
    said: list[str] = []

    async def acknowledged() -> bool:
        said.append((await house.mosquitto_pub(device, "telemetry", f'{{"n": {number}}}')).stdout)
        return "PUBACK" in said[-1]

    try:
        await until(acknowledged, f"message {number} is acknowledged")
    except AssertionError as error:
        raise AssertionError(f"{error}: {said[-1]}") from error


async def test_a_broker_that_lost_its_store_goes_on_after_the_batches_that_are_in_files(house: House) -> None:
    device = await house.enrol()
    for number in range(3):
        await send(house, device, number)
    await stored(house, 3)
    last = (await Journal(house.broker.open.platform, "p0").bounds())[1]

    house.kill(house.ingest)
    house.kill(house.server)
    shutil.rmtree(house.directory.nats / "store")
    house.start_server()
    await house.start_ingest()
    await until(lambda: house.broker.open.platform.is_connected, "the controller is back")
    await house.decide(device.id, Standing.TRUSTED)

    for number in range(3, 6):
        await send(house, device, number)
    await stored(house, 6, repeated=True)
    assert (await Journal(house.broker.open.platform, "p0").bounds())[1] > last
    assert {value for _, _, value in await house.samples.latest(device.id, 10)} == {0, 1, 2, 3, 4, 5}


async def test_an_ingest_worker_that_started_before_the_buckets_were_there_still_answers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path, ingest=False) as house:
        await house.broker.open.platform.jetstream().delete_stream(PLANS)
        starting = asyncio.create_task(house.start_ingest())
        log = house.directory.logs / "ingest.log"
        await until(lambda: log.exists() and "stream not found" in log.read_text(), "the worker found no bucket")
        await provision_platform(house.broker.open.platform)
        await starting
        device = await house.enrol()
        await house.decide(device.id, Standing.QUARANTINED)
    assert "did not say in time" not in caplog.text


async def test_while_ingest_is_away_nothing_is_acknowledged_and_afterwards_everything_works(house: House) -> None:
    device = await house.enrol()
    house.kill(house.ingest)
    lost = await house.mosquitto_pub(device, "telemetry", '{"n": 1}')
    assert "PUBACK" not in lost.stdout
    await house.start_ingest()
    kept = await house.mosquitto_pub(device, "telemetry", '{"n": 2}')
    assert "PUBACK" in kept.stdout
    await stored(house, 1)


async def test_where_files_cannot_be_written_messages_stay_in_the_journal_until_they_can(house: House) -> None:
    device = await house.enrol()
    folder = house.directory.samples / "p0"
    aside = house.directory.samples.parent / "aside"
    folder.rename(aside)
    folder.write_text("in the way")
    for number in range(3):
        done = await house.mosquitto_pub(device, "telemetry", f'{{"n": {number}}}')
        assert "PUBACK" in done.stdout
    log = house.directory.logs / "ingest.log"
    await until(lambda: "cannot be written" in log.read_text(), "the worker says so")
    first, last = await Journal(house.broker.open.platform, "p0").bounds()
    assert last - first + 1 == 3

    folder.unlink()
    aside.rename(folder)
    await stored(house, 3)
    first, last = await Journal(house.broker.open.platform, "p0").bounds()
    assert first == last + 1
