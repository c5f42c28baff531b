"""The commands against the real API over TLS: what they print, their exit status, and one sentence where they fail."""

import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bastide.cli import run
from bastide.cli.commands import COMMANDS
from bastide.cli.span import span, told
from bastide.core.error import Refused
from bastide.governance.access.roles import Role
from tests.controller.house import LAMP, migrated_database
from tests.controller.served import Served


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "trust").mkdir()
    house = Served(migrated_database(folder / "migrated.db"), folder, _certificate(folder / "trust" / "root.pem"))
    house.start()
    (folder / "run").mkdir()
    (folder / "run" / "console.url").write_text(house.url + "\n")
    (folder / "operator.token").write_text(house.tokens[Role.ADMIN] + "\n")
    house.there["folder"] = str(folder)
    yield house
    house.stop()


@pytest.fixture
def machine(served: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """As on the machine where Bastide runs: only the data directory is told."""
    for name in ("BASTIDE_URL", "BASTIDE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BASTIDE_DATA", served.there["folder"])
    return served


def _certificate(path: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a root of a test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret = path.with_suffix(".key")
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret.write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
    return path, secret


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    status = run([*arguments, "--json"])
    told = capsys.readouterr()
    assert status == 0, told.err
    return json.loads(told.out)


def test_every_command_of_the_table_is_there() -> None:
    for command in COMMANDS:
        module, _, attribute = command.target.partition(":")
        found = getattr(import_module(module), attribute)
        assert isinstance(found, typer.Typer) or callable(found), command.name
        assert command.help.endswith("."), command.name


def test_help_starts_in_a_moment() -> None:
    """No command's module is imported for it; a bound that is wide enough for a busy machine."""
    begun = time.monotonic()
    asked = [sys.executable, "-X", "importtime", "-c", "from bastide.cli import run; raise SystemExit(run(['--help']))"]
    told = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=True)
    for name in ("pydantic", "sqlalchemy", "fastapi", "numpy", "rich", "asyncio"):
        assert f"| {name}\n" not in told.stderr.replace(" ", "| ", 0), name
        assert not [line for line in told.stderr.splitlines() if line.rpartition("|")[2].strip() == name], name
    assert time.monotonic() - begun < 20


def test_devices_are_listed_shown_and_explained(machine: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert LAMP in [device["id"] for device in _json(capsys, "device", "list")]
    assert _json(capsys, "device", "show", "Lamp in lyon")["site"] == "lyon"
    assert run(["device", "explain", LAMP]) == 0
    text = capsys.readouterr().out
    for heading in ("Why", "What must hold (plan", "What holds now", "Risk", "Ledger, newest first"):
        assert heading in text


def test_quarantine_and_release_take_hold_before_the_command_ends(
    machine: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    done = _json(capsys, "device", "quarantine", LAMP, "--reason", "smoke")
    assert done["decision"]["standing"] == "quarantined"
    assert {outcome["generation"] for outcome in done["outcomes"]} == {done["plan"]["generation"]}
    assert run(["device", "explain", LAMP]) == 0
    why = capsys.readouterr().out
    assert "QUARANTINED" in why
    assert "reason = smoke" in why
    assert "no connection at all" in why
    assert _json(capsys, "device", "release", LAMP, "-r", "toast")["decision"]["standing"] == "trusted"


def test_a_name_that_several_devices_have_is_refused(machine: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["device", "show", "lamp"]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("bastide: 'lamp' could be several devices: d-")
    assert told.err.count("\n") == 1


def test_policy_is_shown_simulated_and_applied(
    machine: Served, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["policy", "show"]) == 0
    file = tmp_path / "policy.toml"
    stricter = '[[rule]]\nid = "seen"\nwhen = "identity.enrolled"\nthen = "restricted"\nbecause = "A test."\n'
    stricter += 'within = "52w"\nhold = "52w"\n'
    file.write_text(capsys.readouterr().out + "\n" + stricter)
    simulated = _json(capsys, "policy", "simulate", str(file))
    assert {effect["then"] for effect in simulated["effects"]} == {"restricted"}
    before = _json(capsys, "policy", "show")
    assert run(["policy", "apply", str(file)]) == 2, "a reason is needed"
    capsys.readouterr()
    applied = _json(capsys, "policy", "apply", str(file), "--reason", "a test")
    assert applied["digest"] == simulated["digest"] != before["digest"]
    assert run(["policy", "show", "--rules"]) == 0
    assert "operator-quarantine" in capsys.readouterr().out


def test_waivers_are_created_listed_and_ended(machine: Served, capsys: pytest.CaptureFixture[str]) -> None:
    made = _json(
        capsys, "waiver", "create", "topic-misuse", "--owner", "ops", "-r", "a test", "--for", "8h", "--device", LAMP
    )
    assert made["subject"] == {"kind": "device", "id": LAMP}
    assert made["id"] in [one["id"] for one in _json(capsys, "waiver", "list")]
    _json(capsys, "waiver", "end", made["id"], "-r", "over")
    assert made["id"] not in [one["id"] for one in _json(capsys, "waiver", "list")]


def test_people_links_and_tokens(machine: Served, capsys: pytest.CaptureFixture[str]) -> None:
    added = _json(capsys, "people", "add", "grace", "--role", "operator", "--site", "lyon")
    assert added["address"].startswith(f"{machine.url}/sign-in/link/l-")
    assert _json(capsys, "people", "change", "grace", "--everything")["scope"] == {"sites": [], "classes": []}
    assert _json(capsys, "people", "disable", "grace")["disabled_at"]
    assert _json(capsys, "people", "enable", "grace")["disabled_at"] is None
    assert _json(capsys, "sign-in", "link", "grace")["link"].startswith("l-")
    token = _json(capsys, "token", "create", "ci", "--ttl", "1h")
    assert token["token"]["role"] == "viewer"
    assert run(["token", "revoke", token["token"]["id"]]) == 0
    assert "revoked" in capsys.readouterr().out


def test_another_bastide_is_named_by_the_environment(
    machine: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASTIDE_TOKEN", machine.tokens[Role.VIEWER])
    assert _json(capsys, "sign-in", "whoami")["name"] == "viewer"
    assert run(["device", "quarantine", LAMP, "--reason", "no"]) == 2
    assert "device:act" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nonsense"], "No such command"),
        (["device"], "Missing command"),
        (["device", "list", "--nonsense"], "No such option"),
        (["device", "show", "nobody-here"], "No device is named"),
        (["device", "list", "--standing", "odd"], "query.standing"),
        (["policy", "simulate", "/nowhere/at/all"], "No such file"),
        (["waiver", "create", "x", "--owner", "o", "-r", "r", "--for", "ever"], "not a span"),
        (["ledger", "show", "r-'; --"], "as documented"),
        (["people", "show", "nobody"], "no account"),
    ],
)
def test_wrong_use_is_one_sentence_and_status_2(
    machine: Served, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert run(arguments) == 2
    told = capsys.readouterr()
    assert says in told.err
    assert told.err.startswith("bastide: ")
    assert told.err.count("\n") == 1
    assert "Traceback" not in told.err


def test_without_a_running_bastide_the_sentence_says_how_to_start_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BASTIDE_URL", raising=False)
    monkeypatch.delenv("BASTIDE_TOKEN", raising=False)
    assert run(["device", "list", "--data", str(tmp_path)]) == 2
    assert "bastide up" in capsys.readouterr().err
    monkeypatch.setenv("BASTIDE_TOKEN", "bastide_x")
    monkeypatch.setenv("BASTIDE_URL", "https://localhost:1")
    assert run(["device", "list"]) == 2
    assert "does not answer at https://localhost:1" in capsys.readouterr().err
    monkeypatch.setenv("BASTIDE_URL", "http://localhost:8443")
    assert run(["device", "list"]) == 2
    assert "https://host:port" in capsys.readouterr().err


def test_a_certificate_of_another_root_is_refused(
    machine: Served, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trust").mkdir()
    _certificate(tmp_path / "trust" / "root.pem")
    monkeypatch.setenv("BASTIDE_URL", machine.url)
    monkeypatch.setenv("BASTIDE_TOKEN", machine.tokens[Role.VIEWER])
    assert run(["device", "list", "--data", str(tmp_path)]) == 2
    assert "not of this Bastide's root" in capsys.readouterr().err
    assert ssl.HAS_TLSv1_3


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("8h", 28800), ("14d", 1209600), ("2w", 1209600)]
)
def test_spans_are_read(text: str, seconds: int) -> None:
    assert span(text).total_seconds() == seconds
    assert span(told(seconds)).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "8", "h", "0h", "-1h", "1.5h", "8 h", "999999999w", "8h\n9"])
def test_what_is_no_span_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        span(text)
