"""kill -9 of ingest and of nats-server in the middle of traffic: what was acknowledged is stored, and stored once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from bastide.core.ids import DeviceId
from bastide.testing.fleet.identity import Identity
from bastide.testing.mqtt_load import Load
from tests.broker.house import Enrolled, House, opened, until
from tests.peers import require

DEVICES, RATE = 40, 1200.0


@pytest.fixture
async def crowd(tmp_path: Path) -> AsyncIterator[tuple[House, Sequence[Enrolled], Load]]:
    require("mosquitto_pub")
    async with opened(tmp_path) as house:
        devices = [await house.enrol() for _ in range(DEVICES)]
        yield house, devices, Load([identity(house, one) for one in devices], "localhost", house.mqtt_port, RATE)


def identity(house: House, device: Enrolled) -> Identity:
    """The same files under the names that the load generator reads."""
    folder = device.certificate.with_suffix("")
    folder.mkdir()
    for name, path in (
        ("certificate.pem", device.certificate),
        ("key.pem", device.key),
        ("trust.pem", house.directory.trust / "root.pem"),
    ):
        (folder / name).write_bytes(path.read_bytes())
    return Identity(device.id, folder, house.clock.now() + timedelta(days=1))


@contextlib.asynccontextmanager
async def traffic(load: Load) -> AsyncIterator[None]:
    running = asyncio.create_task(load.run())
    try:
        await until(lambda: load.connected == DEVICES, "all devices are connected")
        yield
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def grows(load: Load, by: int) -> None:
    """Waits until so many more messages are acknowledged."""
    reached = load.acknowledged + by
    await until(lambda: load.acknowledged >= reached, f"{by} more are acknowledged", within=40)


async def check(house: House, load: Load) -> None:
    """The clients' own log is the truth: each acknowledged number once, each other one at most once, none from nowhere."""

    async def stored() -> dict[DeviceId, list[int]]:
        found = {device: await house.samples.latest(device, 1_000_000) for device in load.logs}
        return {device: [int(value) for _, field, value in rows if field == "n"] for device, rows in found.items()}

    async def all_stored() -> bool:
        there = await stored()
        return all(log.acknowledged <= set(there[device]) for device, log in load.logs.items())

    with contextlib.suppress(AssertionError):
        await until(all_stored, "all that was acknowledged is stored", within=10)
    for device, numbers in (await stored()).items():
        log = load.logs[device]
        assert log.acknowledged <= set(numbers), f"{device}: {log.acknowledged - set(numbers)} acknowledged are lost"
        assert len(numbers) == len(set(numbers)), f"{device}: {len(numbers) - len(set(numbers))} are stored twice"
        assert max(numbers, default=0) < log.sent


async def test_ingest_killed_in_the_middle_loses_and_repeats_nothing(
    crowd: tuple[House, Sequence[Enrolled], Load],
) -> None:
    house, _, load = crowd
    async with traffic(load):
        for _ in range(3):
            await grows(load, 800)
            house.kill(house.ingest)
            await house.start_ingest()
        await grows(load, 800)
    await check(house, load)


async def test_the_broker_killed_in_the_middle_loses_and_repeats_nothing(
    crowd: tuple[House, Sequence[Enrolled], Load],
) -> None:
    house, _, load = crowd
    async with traffic(load):
        for _ in range(2):
            await grows(load, 800)
            house.kill(house.server)
            house.start_server()
        await grows(load, 800)
    await check(house, load)


@pytest.mark.long
async def test_many_kills_of_both_lose_and_repeat_nothing(crowd: tuple[House, Sequence[Enrolled], Load]) -> None:
    house, _, load = crowd
    async with traffic(load):
        for round_ in range(12):
            await grows(load, 500)
            if round_ % 3:
                house.kill(house.ingest)
                await house.start_ingest()
            else:
                house.kill(house.server)
                house.start_server()
        await grows(load, 800)
    await check(house, load)
