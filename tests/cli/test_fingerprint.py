"""Fingerprints from labelled captures, through the commands and the sandboxed parser."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from bastide.cli import run
from tests.peers import shared_data

TYPES = ("Aria", "HueBridge", "TP-LinkPlugHS100", "TP-LinkPlugHS110", "EdimaxPlug1101W", "WeMoLink")


def _labels(path: Path, folders: tuple[str, ...], setups: tuple[int, ...]) -> list[str]:
    captures = []
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("capture", "mac", "label"))
        for folder in folders:
            place = shared_data("captures", "iot-sentinel", folder)
            mac = (place / "_iotdevice-mac.txt").read_text().strip()
            for number in setups:
                captures.append(str(place / f"Setup-C-{number}-STA.pcap"))
                rows.writerow((f"{folder}/Setup-C-{number}-STA.pcap", mac, folder))
    return captures


def _json(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_what_was_learned_names_other_setups_and_calls_the_rest_unknown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, taught, asked = tmp_path / "base.json.gz", tmp_path / "taught.csv", tmp_path / "asked.csv"
    captures = _labels(taught, TYPES, (1, 2, 3))
    assert run(["fingerprint", "learn", "--labels", str(taught), "--out", str(base), "--json", *captures]) == 0
    assert _json(capsys)["samples"] == len(captures)
    captures = _labels(asked, (*TYPES, "Withings", "EdimaxCam1"), (4, 5))
    arguments = ["fingerprint", "evaluate", "--fingerprints", str(base), "--labels", str(asked), "--json"]
    assert run([*arguments, *captures]) == 0
    told = _json(capsys)
    assert (told["n"], told["accuracy"]) == (2 * len(TYPES), 1.0)
    assert told["unknown"]["never_learned_n"] == 4
    assert told["unknown"]["never_learned_rate"] == 1.0
    assert told["missing"] == []
    plug = str(shared_data("captures", "iot-sentinel", "TP-LinkPlugHS110", "Setup-C-6-STA.pcap"))
    assert run(["scan", "--fingerprints", str(base), "--json", plug]) == 0
    (device,) = [one for one in _json(capsys)["devices"] if one["mac"] == "50:c7:bf:00:c7:03"]
    assert device["type"]["value"] == "TP-LinkPlugHS110"
    assert any("hs110" in token for token in device["type"]["because"])
    assert "50:c7:bf:00:c7:03" not in json.dumps(device["type"])


def test_a_file_that_is_no_base_is_refused_with_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, labels = tmp_path / "bad.json", tmp_path / "labels.csv"
    bad.write_text('{"format": "else"}')
    captures = _labels(labels, ("Aria",), (1,))
    assert run(["fingerprint", "evaluate", "--fingerprints", str(bad), "--labels", str(labels), *captures]) == 2
    assert "fingerprints cannot be read" in capsys.readouterr().err
    assert run(["fingerprint", "evaluate", "--labels", str(tmp_path / "none.csv"), "--cross-validate", "3"]) == 2
    assert "There is no file" in capsys.readouterr().err
