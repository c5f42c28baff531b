"""The demo fleet against a Bastide that runs: what it tells is what happened, and the API says the same."""

import json
import signal
import subprocess
from typing import Any

from tests.processes.bastide import COMMAND, Bastide, environment


def demo(bastide: Bastide, *options: str) -> dict[str, dict[str, Any]]:
    """What a run told, by event; a word of the story comes once."""
    ended = bastide.run("demo", "--once", "--json", "--devices", "10", *options, timeout_s=110)
    assert ended.returncode == 0, ended.stderr + bastide.logs()
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    return {each["event"]: each for each in told}


def shown(bastide: Bastide, device: str) -> dict[str, Any]:
    ended = bastide.run("device", "explain", device, "--json")
    assert ended.returncode == 0, ended.stderr
    explained: dict[str, Any] = json.loads(ended.stdout)
    return explained


def test_the_fleet_enrols_connects_and_a_device_that_misuses_its_topics_is_cut_off(bastide: Bastide) -> None:
    told = demo(bastide, "--misuse-after", "1s", "--telnet-after", "2s")
    assert told["enrolled"]["enrolled"] == 10
    assert told["connected"]["connected"] == 10
    assert told["cut-off"]["standing"] == "quarantined"
    explained = shown(bastide, told["cut-off"]["device"])
    assert explained["device"]["name"] == "thermostat-1"
    assert explained["reasons"][0]["rule"] in ("topic-misuse", "eavesdropping")
    held = {outcome["point"]: outcome["generation"] for outcome in explained["outcomes"]}
    assert held == dict.fromkeys(("broker", "credential", "network", "update"), explained["plan"]["generation"])

    # The camera that answered on Telnet is a finding on what was seen, and nobody lost anything for it.
    seen = told["telnet"]
    findings = shown(bastide, seen["device"])["findings"]
    assert "traffic:telnet" in {finding["code"] for finding in findings}
    listed = json.loads(bastide.run("device", "list", "--json").stdout)
    standings = {each["name"]: each["standing"] for each in listed if each["device_class"] != "unidentified"}
    assert standings["thermostat-1"] == "quarantined"
    assert standings["door-camera-1"] == "trusted"

    # A second run has the same devices: nobody enrols again, who was cut off stays so, and the next one is tried.
    again = demo(bastide, "--misuse-after", "1s", "--telnet-after", "2s")
    assert (again["enrolled"]["enrolled"], again["connected"]["kept_out"]) == (0, 1)
    assert shown(bastide, again["cut-off"]["device"])["device"]["name"] == "thermostat-2"


def test_ctrl_c_ends_the_fleet_politely(bastide: Bastide) -> None:
    with subprocess.Popen(
        [COMMAND, "demo", "--devices", "2", "--json"],
        env=environment(bastide.data, bastide.ports),
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if json.loads(line)["event"] == "reporting":
                break
        running.send_signal(signal.SIGINT)
        last = running.stdout.read().splitlines()[-1]
        assert running.wait(20) == 0
    assert json.loads(last)["event"] == "end"


def test_a_demo_without_a_bastide_says_what_to_do(bastide: Bastide) -> None:
    ended = subprocess.run(
        [COMMAND, "demo"],
        env=environment(bastide.data.parent / "nowhere"),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 2
    assert "bastide up" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
