"""What happens to an honest device with a poor network, on the whole platform."""

import json
from pathlib import Path
from random import Random

from bastide.testing.fleet.misuse import impersonating
from bastide.testing.fleet.mqtt import Session
from tests.processes.bastide import Bastide, until
from tests.processes.faults import FaultRun


def test_a_device_whose_connection_keeps_breaking_is_not_taken_for_a_hostile_one(bastide: Bastide, home: Path) -> None:
    honest, hostile = FaultRun(bastide, home, seed=0).enrol(2, "network")
    for _ in range(5):
        session = Session(honest, "127.0.0.1", bastide.ports["mqtt_port"])
        session.start()
        assert session.connected.wait(10), bastide.logs()
        session.vanish()
        assert session.lost.wait(10)
        session.stop()
    denied = f'Publish Violation - Subject "devices.{honest.device}.status"'
    log = bastide.data / "nats" / "server.log"
    assert until(lambda: log.read_text(errors="replace").count(denied) >= 5), "the last wills are in the broker's log"

    # Whoever really misuses its topics after that is cut off, so all that was logged before has been judged by then.
    session = Session(hostile, "127.0.0.1", bastide.ports["mqtt_port"])
    session.start()
    assert session.connected.wait(10), bastide.logs()
    for what in impersonating(hostile.device, [honest.device] * 5, Random(0)):
        session.publish(what.topic, what.fields)
    assert session.lost.wait(10), bastide.logs()
    session.stop()

    explained = json.loads(bastide.run("device", "explain", honest.device, "--json").stdout)
    assert explained["device"]["standing"] == "trusted"
    assert explained["reasons"] == []
    assert all(term["value"] < 0.5 for term in explained["risk"]["terms"] if term["factor"] == "likelihood")
