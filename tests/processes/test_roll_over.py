"""The next issuing CA and the next root, while a fleet speaks: nobody loses a message, and everybody's path stays valid."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from bastide.adapters.est.client import Endpoint as AgentEndpoint
from bastide.adapters.est.client import newer_trust
from bastide.device.identity.certificate import issuer_key_id
from bastide.device.identity.hierarchy import key_id, read_hierarchy
from bastide.testing.fleet.est import Endpoint, renew
from bastide.testing.fleet.identity import Identity
from bastide.testing.fleet.mqtt import Session
from bastide.testing.mqtt_load import Load
from tests.peers import require
from tests.processes.bastide import Bastide, until
from tests.processes.faults import FaultRun

USE_IN_S = 3


@pytest.fixture
def bastide(alone: Bastide) -> Bastide:
    """One of its own: its CAs change."""
    return alone


def ceremony(bastide: Bastide, folder: Path, shares: list[Path], *more: str) -> dict[str, str]:
    """Request, signature by the shares, installation; and back when the new CA is in use."""
    folder.mkdir()
    request, outcome, root = folder / "next.pem", folder / "ca.pem", bastide.data / "trust" / "root.pem"
    for arguments in (
        ("authority", "request", "-o", request),
        ("ceremony", "sign", request, *shares, "--root", root, "-o", outcome, "--use-in", f"{USE_IN_S}s", *more),
        ("authority", "install", outcome),
    ):
        done = bastide.run(*map(str, arguments))
        assert done.returncode == 0, done.stderr
    newest = read_hierarchy((bastide.data / "trust" / "authorities.pem").read_bytes()).issuing[-1]
    assert until(lambda: states(bastide)[key_id(newest)] == "in use", 20), states(bastide)
    assert newest.fingerprint(SHA256()).hex() in (folder / "ca.txt").read_text()
    return states(bastide)


def states(bastide: Bastide) -> dict[str, str]:
    listed = json.loads(bastide.run("authority", "list", "--json").stdout)
    return {one["key"]: one["state"] for one in listed if one["kind"] == "issuing"}


def leaf(identity: Identity) -> x509.Certificate:
    return x509.load_pem_x509_certificates(identity.certificate.read_bytes())[0]


def openssl(*arguments: str | Path) -> str:
    done = subprocess.run(
        [require("openssl"), *map(str, arguments)], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL
    )
    return done.stdout + done.stderr


def test_issuing_ca_and_root_roll_over_under_a_fleet_that_speaks(bastide: Bastide, home: Path, tmp_path: Path) -> None:
    trust, ports = bastide.data / "trust", bastide.ports
    run = FaultRun(bastide, home, seed=0, rate=100.0, devices=4)
    old_root = tmp_path / "old-root.pem"
    shutil.copy(trust / "root.pem", old_root)
    first = read_hierarchy((trust / "authorities.pem").read_bytes()).issuing[0]
    earlier, to_retire = run.enrol(2, "earlier")
    shares = sorted((bastide.data / "root-shares").glob("share-*"))
    endpoint = Endpoint("127.0.0.1", ports["device_port"], old_root)
    seen: dict[str, Identity] = {}

    def roll(_load: Load, _began: float) -> None:
        ceremony(bastide, tmp_path / "one", shares[:2])
        (seen["after the CA"],) = run.enrol(1, "after-ca")
        time.sleep(1)
        ceremony(bastide, tmp_path / "two", shares[1:], "--new-root", str(tmp_path / "root2"))
        (seen["after the root"],) = run.enrol(1, "after-root")
        seen["renewed"] = renew(endpoint, earlier)
        for identity in seen.values():
            session = Session(identity, "127.0.0.1", ports["mqtt_port"])
            session.start()
            assert session.connected.wait(10), bastide.logs()
            session.stop()

    report = run.under_load(roll)
    print(report)
    assert (report.lost, report.doubled) == ([], [])
    assert "status 0" in report.verified
    assert report.longest_silence_s < 5

    now = read_hierarchy((trust / "authorities.pem").read_bytes())
    assert (len(now.roots), len(now.issuing)) == (2, 3)
    assert issuer_key_id(leaf(seen["after the CA"])) == key_id(now.issuing[1])
    assert issuer_key_id(leaf(seen["renewed"])) == issuer_key_id(leaf(seen["after the root"])) == key_id(now.issuing[2])

    # Whichever root a peer trusts, by openssl's strict word, and on the wire.
    new_root = tmp_path / "root2" / "root.pem"
    for root in (old_root, new_root):
        for name in seen:
            said = openssl(
                "verify", "-x509_strict", "-CAfile", root, "-untrusted", trust / "issuing.pem", seen[name].certificate
            )  # fmt: skip
            assert said.strip().endswith("OK"), said
        for port in (ports["mqtt_port"], ports["device_port"], ports["console_port"]):
            said = openssl("s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", root, "-verify_return_error")
            assert "Verify return code: 0 (ok)" in said, said

    # A device takes the new root because the old one vouches for it, and once only.
    claim = json.loads(bastide.run("claim", "create", "--class", "generic", "--json").stdout)
    (tmp_path / "claim").write_text(f"{claim['username']}\n{claim['password']}\n")
    agent = [sys.executable, "-m", "bastide.agent", "--url", f"https://127.0.0.1:{ports['device_port']}", "--once"]
    agent += ["--trust", str(old_root), "--state", str(tmp_path / "agent"), "--claim-file", str(tmp_path / "claim")]
    subprocess.run(agent, check=True, timeout=60)
    learnt = tmp_path / "agent" / "trust.pem"
    assert x509.load_pem_x509_certificates(learnt.read_bytes()) == [now.roots[1], now.roots[0]]
    assert newer_trust(AgentEndpoint("127.0.0.1", ports["device_port"], learnt)) == []

    # Each issuing CA answers for its own certificates, on its list and by OCSP.
    for identity in (to_retire, seen["after the root"]):
        gone = bastide.run("device", "retire", identity.device, "--reason", "rolled over", "--yes")
        assert gone.returncode == 0, gone.stderr
    url = f"https://127.0.0.1:{ports['device_port']}"
    for ca, revoked in ((first, to_retire), (now.issuing[1], None), (now.issuing[2], seen["after the root"])):
        der, pem = tmp_path / "list.der", tmp_path / "ca.pem"
        fetched = ["curl", "-sS", "--cacert", old_root, f"{url}/crl/{key_id(ca)}", "-o", der]
        subprocess.run([*map(str, fetched)], check=True, timeout=30)
        listed = x509.load_der_x509_crl(der.read_bytes())
        assert listed.is_signature_valid(ca.public_key())  # type: ignore[arg-type]
        serials = {entry.serial_number for entry in listed}
        assert serials == ({leaf(revoked).serial_number} if revoked else set())
        if revoked:
            pem.write_bytes(ca.public_bytes(Encoding.PEM))
            asked = ("ocsp", "-no_nonce", "-issuer", pem, "-cert", revoked.certificate)
            openssl(*asked, "-reqout", tmp_path / "ask.der")
            answer = tmp_path / "answer.der"
            posted = ["curl", "-sS", "--cacert", old_root, "-H", "Content-Type: application/ocsp-request"]
            posted += ["--data-binary", f"@{tmp_path / 'ask.der'}", f"{url}/ocsp", "-o", str(answer)]
            subprocess.run([*map(str, posted)], check=True, timeout=30)
            # fmt: off
            said = openssl(*asked, "-respin", answer, "-CAfile", trust / "root.pem", "-verify_other", trust / "issuing.pem")
            # fmt: on
            assert "Response verify OK" in said, said
            assert "revoked" in said, said

    # And all of it is so after a start.
    before = states(bastide)
    bastide.stop()
    bastide.start()
    assert states(bastide) == before
    assert list(before.values()) == ["in use", "before", "before"]
