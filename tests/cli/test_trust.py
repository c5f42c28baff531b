"""``bastide trust``: one certificate goes into the browser's store and comes out again, and Chromium then needs no exception."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.peers import require

COMMAND = Path(sys.executable).with_name("bastide")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home of its own: no store of this machine is touched."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Bastide root test")])
    now = datetime.now(UTC)
    root = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .sign(key, hashes.SHA256())
    )
    trust = tmp_path / "data" / "trust"
    trust.mkdir(parents=True)
    (trust / "root.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    (tmp_path / ".pki" / "nssdb").mkdir(parents=True)
    return tmp_path


def run(home: Path, *arguments: str, path: str | None = None) -> "subprocess.CompletedProcess[str]":
    """The command with that home; the system's store of this machine is not for tests."""
    environment = {**os.environ, "HOME": str(home), "BASTIDE_DATA": str(home / "data")}
    if path is not None:
        environment["PATH"] = path
    return subprocess.run(
        [COMMAND, "trust", *arguments, "--no-system"], env=environment, capture_output=True, text=True, timeout=60
    )


def stores(ended: "subprocess.CompletedProcess[str]") -> dict[str, str]:
    told: dict[str, Any] = json.loads(ended.stdout)
    return {each["store"]: each["outcome"] for each in told["stores"]}


def test_the_root_goes_in_once_and_comes_out_again(home: Path) -> None:
    certutil = require("certutil")
    database = f"sql:{home / '.pki' / 'nssdb'}"

    def listed() -> str:
        return subprocess.run([certutil, "-d", database, "-L"], capture_output=True, text=True).stdout

    assert stores(run(home, "install", "--json"))["Chromium"] == "done"
    assert "Bastide root" in listed()
    assert "C,," in listed()
    assert stores(run(home, "install", "--json"))["Chromium"] == "unchanged"
    said = run(home, "install").stdout
    assert "SHA-256" in said
    assert "for every site" in said
    assert stores(run(home, "remove", "--json"))["Chromium"] == "done"
    assert "Bastide root" not in listed()
    assert stores(run(home, "remove", "--json"))["Chromium"] == "unchanged"


def test_the_systems_store_is_left_alone_when_told_so(home: Path) -> None:
    require("certutil")
    assert list(stores(run(home, "install", "--json"))) == ["Chromium"]


def test_without_certutil_it_says_what_to_install_and_type(home: Path) -> None:
    ended = run(home, "install", path="/nonexistent")
    assert ended.returncode == 2
    assert "libnss3-tools" in ended.stdout
    assert "certutil -d sql:" in ended.stdout
    assert ended.stderr == "bastide: No store was changed; what to do is said above for each.\n"


def test_before_the_first_start_there_is_one_clear_sentence(tmp_path: Path) -> None:
    ended = subprocess.run(
        [COMMAND, "trust", "install", "--data", str(tmp_path)], capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "start Bastide once" in ended.stderr
    assert ended.stderr.count("\n") == 1
