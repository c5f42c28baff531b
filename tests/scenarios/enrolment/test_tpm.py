"""docs/adding/a-device-with-a-tpm.md on a TPM in software, as it is written; and what does not prove enough."""

import asyncio
import base64
import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from bastide.core.ids import DeviceId
from bastide.device.identity.tpm import tpm_serial
from bastide.flows.admissions import expect, put_vendor
from tests.peers import require
from tests.processes.bastide import free_ports, until
from tests.scenarios.enrolment.platform import Platform, new_request
from tests.scenarios.enrolment.test_refusals import leaf, post, speaking

PAGE = Path(__file__).parents[3] / "docs" / "adding" / "a-device-with-a-tpm.md"
FLUSH = "flush() { tpm2_flushcontext -t; }"
ORDER = ("before", "keys", "challenge", "secret", "enrol")
BLOCKS = dict(re.findall(r"```sh (\w+)\n(.*?)```", PAGE.read_text(), re.DOTALL))


@dataclass(frozen=True, slots=True)
class TPM:
    """A TPM in software with its maker's certificate, and a folder in which commands run against it."""

    folder: Path
    environment: dict[str, str]

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", f"set -euo pipefail\n{script}"],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    @property
    def authority(self) -> bytes:
        return (self.folder / "ca" / "issuer.pem").read_bytes()

    @property
    def certificate(self) -> x509.Certificate:
        return x509.load_der_x509_certificate((self.folder / "ek.der").read_bytes())

    def asked(self) -> dict[str, str]:
        """What it sent last."""
        said: dict[str, str] = json.loads((self.folder / "asked.json").read_text())
        return said


def two_free_ports() -> int:
    """The first of two ports of loopback that follow each other, and that nobody listens on now."""
    for first in free_ports(50):
        with socket.socket() as one, socket.socket() as other, suppress(OSError, OverflowError):
            one.bind(("127.0.0.1", first))
            other.bind(("127.0.0.1", first + 1))
            return first
    raise AssertionError("there are no two free ports side by side")


@pytest.fixture
def tpm(tmp_path: Path) -> Iterator[TPM]:
    for program in ("swtpm", "swtpm_setup", "tpm2_certify", "curl", "openssl"):
        require(program)
    folder = tmp_path / "tpm"
    for name in ("ca", "state"):
        (folder / name).mkdir(parents=True)
    ca = folder / "ca"
    (folder / "ca.conf").write_text(
        f"statedir = {ca}\nsigningkey = {ca}/key.pem\nissuercert = {ca}/issuer.pem\ncertserial = {ca}/serial\n"
    )
    (folder / "ca.options").write_text("--tpm-manufacturer id:00001014\n--tpm-model swtpm\n--tpm-version id:1\n")
    (folder / "setup.conf").write_text(
        f"create_certs_tool = {require('swtpm_localca')}\ncreate_certs_tool_config = {folder}/ca.conf\n"
        f"create_certs_tool_options = {folder}/ca.options\n"
    )
    made = subprocess.run(
        [
            require("swtpm_setup"), "--tpm2", "--tpmstate", str(folder / "state"), "--create-ek-cert",
            "--config", str(folder / "setup.conf"),
        ],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    # tpm2-tools take the port after the server's for its control channel.
    server = two_free_ports()
    running = subprocess.Popen([
        require("swtpm"), "socket", "--tpm2", "--tpmstate", f"dir={folder / 'state'}",
        "--server", f"type=tcp,port={server},bindaddr=127.0.0.1", "--ctrl", f"type=tcp,port={server + 1},bindaddr=127.0.0.1",
        "--flags", "not-need-init,startup-clear",
    ])  # fmt: skip
    tcti = f"swtpm:host=127.0.0.1,port={server}"
    one = TPM(folder, {**os.environ, "TPM2TOOLS_TCTI": tcti, "TPM2OPENSSL_TCTI": tcti})
    try:
        assert until(lambda: one.run("tpm2_getcap properties-fixed").returncode == 0, 20, 0.1)
        yield one
    finally:
        running.terminate()
        running.wait(10)


async def on_the_page(tpm: TPM, town: Platform, *names: str) -> subprocess.CompletedProcess[str]:
    here = f"ROOT={town.root} BASTIDE={town.base}"
    script = "\n".join([BLOCKS["before"], here, *(BLOCKS[name] for name in names)])
    return await asyncio.to_thread(tpm.run, script)


async def named(tpm: TPM, town: Platform, *, expected: bool = True) -> str:
    """The TPM's maker is named, and it is on the list; its serial number."""
    keys = await on_the_page(tpm, town, "keys")
    assert keys.returncode == 0, keys.stderr
    await put_vendor("acme-tpm", tpm.authority, True, "system:test", town.people)
    serial = tpm_serial(tpm.certificate.public_key())  # type: ignore[arg-type]
    if expected:
        listed = f"serial,class,site\n{serial},camera,lyon\n".encode()
        await expect("acme-tpm", listed, "system:test", town.people)
    return serial


async def test_the_page_works_as_it_is_written(town: Platform, tpm: TPM) -> None:
    assert tuple(BLOCKS) == ORDER
    serial = await named(tpm, town)
    ran = await on_the_page(tpm, town, "challenge", "secret", "enrol")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    device = await town.stores.devices.get(DeviceId(ran.stdout.strip()))
    assert (device.device_class, device.site) == ("camera", "lyon")
    said = {(one.name, one.value) for one in device.attributes}
    assert said == {("tpm", serial), ("key-storage", "TPM 2.0")}
    # The certificate is over the key that is in the TPM.
    proof = await asyncio.to_thread(
        tpm.run,
        "openssl x509 -in device.pem -noout -pubkey > cert.pub; "
        "openssl pkey -provider tpm2 -provider default -in handle:0x81000001 -pubout > tpm.pub; cmp cert.pub tpm.pub",
    )
    assert proof.returncode == 0, proof.stderr
    # It comes again with another key: it is the same device.
    fresh = BLOCKS["keys"].replace("tpm2_evictcontrol -Q -C o -c key.ctx", "tpm2_evictcontrol -Q -C o -c 0x81000001 && "
        "tpm2_evictcontrol -Q -C o -c key.ctx")  # fmt: skip
    assert (await asyncio.to_thread(tpm.run, f"{FLUSH}\n{fresh}")).returncode == 0
    again = await on_the_page(tpm, town, "challenge", "secret", "enrol")
    assert again.stdout == ran.stdout, again.stderr


async def test_a_tpm_that_nobody_expects_asks_and_waits(town: Platform, tpm: TPM) -> None:
    serial = await named(tpm, town, expected=False)
    ran = await on_the_page(tpm, town, "challenge", "secret", "enrol")
    assert ran.returncode != 0
    (asked,) = await town.stores.admissions.requests(10)
    assert (asked.vendor, asked.serial) == ("acme-tpm", serial)


async def test_what_does_not_prove_enough_is_refused_with_its_reason(town: Platform, tpm: TPM) -> None:
    await named(tpm, town)
    good = await on_the_page(tpm, town, "challenge", "secret")
    assert good.returncode == 0, good.stderr
    asked = tpm.asked()
    # Keys that may leave, that sign anything, that decrypt; another key than the one that was certified.
    made = await asyncio.to_thread(
        tpm.run,
        """
        flush() { tpm2_flushcontext -t; }
        flush
        tpm2_create -Q -C srk.ctx -G ecc -u free.pub -r free.priv -a 'sensitivedataorigin|userwithauth|sign'; flush
        tpm2_create -Q -C srk.ctx -G ecc -u other.pub -r other.priv \
            -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign'; flush
        tpm2_load -Q -C srk.ctx -u free.pub -r free.priv -c free.ctx; flush
        tpm2_certify -Q -c free.ctx -C ak.ctx -g sha256 -o free.attest -s free.sig; flush
        """,
    )
    assert made.returncode == 0, made.stderr

    def of(name: str) -> str:
        return base64.b64encode((tpm.folder / name).read_bytes()).decode()

    spoiled = bytearray((tpm.folder / "sig.bin").read_bytes())
    spoiled[-1] ^= 1
    stranger = base64.b64encode(
        x509.load_pem_x509_certificate(town.root.read_bytes()).public_bytes(Encoding.DER)
    ).decode()
    cases = {
        "may leave": ({"key": of("free.pub"), "attest": of("free.attest"), "signature": of("free.sig")}, "stays in it"),
        "another key": ({"key": of("other.pub")}, "another key"),
        "signs anything": ({"ak": of("other.pub")}, "signs only what its TPM says"),
        "decrypts": ({"ak": of("ek.pub")}, "signs only what its TPM says"),
        "signature": ({"signature": base64.b64encode(bytes(spoiled)).decode()}, "not signed by the attestation key"),
        "no maker of ours": ({"ek_certificate": stranger}, "no vendor that is known"),
        "torn": ({"key": base64.b64encode((tpm.folder / "key.pub").read_bytes()[:-1]).decode()}, "cannot be read"),
        "no certificate": ({"ek_certificate": "AAAA"}, "cannot be read"),
    }
    async with speaking(town) as client:
        for name, (change, reason) in cases.items():
            answer = await client.post("/v1/tpm", json=asked | change)
            assert answer.status_code in (400, 403), name
            assert reason in answer.text, name
        for body in (b"", b"{}", b"[" * 40_000, b'{"ak": 1}'):
            answer = await client.post("/v1/tpm", content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code in (400, 403, 413), body[:10]
        # The secret is for one key, and nobody has it who guesses.
        challenge = (await client.post("/v1/tpm", json=asked)).json()
        blob = base64.b64decode(challenge["credential"])
        (tpm.folder / "credential.blob").write_bytes(blob)
        opened = await asyncio.to_thread(tpm.run, f"{FLUSH}\n{BLOCKS['secret']}\nprintf %s $PASSWORD")
        assert opened.returncode == 0, opened.stderr
        other = await post(client, "simpleenroll", new_request()[1], (challenge["username"], opened.stdout))
        assert "another key" in other.text
        csr = tpm.run("openssl req -new -provider tpm2 -provider default -propquery '?provider=tpm2' "
            "-key handle:0x81000001 -subj /CN=me -outform DER | openssl base64 -A").stdout  # fmt: skip
        guessed = await post(client, "simpleenroll", base64.b64decode(csr), (challenge["username"], "00" * 32))
        assert guessed.status_code in (401, 403)
        first, second = [
            leaf(await post(client, "simpleenroll", base64.b64decode(csr), (challenge["username"], opened.stdout)))
            for _ in range(2)
        ]
        assert first == second


async def test_an_elliptic_endorsement_key_opens_what_is_sealed_for_it(town: Platform, tpm: TPM) -> None:
    from bastide.device.identity.tpm import make_credential, read_key

    done = await asyncio.to_thread(
        tpm.run,
        "tpm2_createek -Q -G ecc -c ek.ctx -u ek.pub && tpm2_flushcontext -t; "
        "tpm2_createak -Q -C ek.ctx -c ak.ctx -G rsa -g sha256 -s rsapss -u ak.pub && tpm2_flushcontext -t",
    )
    assert done.returncode == 0, done.stderr
    endorsement = read_key((tpm.folder / "ek.pub").read_bytes(), "endorsement key")
    attestation = read_key((tpm.folder / "ak.pub").read_bytes(), "attestation key")
    secret = os.urandom(32)
    blob = make_credential(endorsement.public, attestation.name, secret, os.urandom)
    (tpm.folder / "credential.blob").write_bytes(blob)
    opened = await asyncio.to_thread(tpm.run, f"{FLUSH}\n{BLOCKS['secret']}")
    assert opened.returncode == 0, opened.stderr
    assert (tpm.folder / "secret.bin").read_bytes() == secret
