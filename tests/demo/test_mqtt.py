"""The device side of MQTT against a real nats-server: sessions, the last will, and the load generator's own log."""

import asyncio
import time
from collections.abc import Callable

from bastide.testing.fleet.mqtt import Session
from bastide.testing.mqtt_load import Load
from tests.demo.conftest import Broker


def until(holds: Callable[[], bool], patience_s: float = 10) -> bool:
    deadline = time.monotonic() + patience_s
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)
    return holds()


def test_a_session_publishes_subscribes_and_counts_its_acknowledgements(broker: Broker) -> None:
    changes: list[bool] = []
    session = Session(broker.device(), broker.host, broker.port, on_change=lambda up, why: changes.append(up))
    session.start()
    assert session.connected.wait(10)
    assert until(lambda: session.granted.get(session.topic("commands")) is True)
    session.publish(session.topic("commands"), {"setpoint": 21.5})
    assert until(lambda: session.acknowledged == 1)
    assert until(lambda: session.received == [(session.topic("commands"), b'{"setpoint":21.5}')])
    session.stop()
    assert changes[0] is True


def test_a_device_that_vanishes_leaves_its_will_and_one_that_says_goodbye_does_not(broker: Broker) -> None:
    watcher = Session(broker.device(), broker.host, broker.port)
    watcher.start()
    assert watcher.connected.wait(10)
    polite, rude = (Session(broker.device(), broker.host, broker.port) for _ in range(2))
    for session in (polite, rude):
        watcher.subscribe(session.topic("status"))
        assert until(lambda session=session: watcher.granted.get(session.topic("status"), False))  # type: ignore[misc]
        session.start()
        assert session.connected.wait(10)
    polite.stop()
    rude.vanish()
    assert until(lambda: (rude.topic("status"), b'{"online": false}') in watcher.received)
    assert all(topic != polite.topic("status") for topic, _ in watcher.received)
    rude.stop()
    watcher.stop()


async def test_the_load_generator_knows_what_was_acknowledged(broker: Broker) -> None:
    load = Load([broker.device() for _ in range(3)], broker.host, broker.port, rate=600)
    running = asyncio.create_task(load.run())
    deadline = time.monotonic() + 15
    while load.acknowledged < 600 and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert load.acknowledged >= 600
    for log in load.logs.values():
        assert log.connects == 1
        assert log.acknowledged <= set(range(log.sent))
