"""Clients that are not ours, unmodified, enrol and re-enrol: strongSwan's pki, and curl with openssl."""

from pathlib import Path

import pytest
from cryptography import x509

from bastide.core.evidence import Subject, SubjectKind
from bastide.core.ids import DeviceId, is_device_id
from bastide.core.standing import Stage, Standing
from tests.peers import require
from tests.scenarios.enrolment.platform import Platform, run


async def test_strongswan_gets_the_authorities(town: Platform, tmp_path: Path) -> None:
    pki = require("pki")
    out = tmp_path / "cas"
    out.mkdir()
    status, _, said = await run(
        pki, "--estca", "--url", town.base, "--cacert", town.root, "--caout", "ca.pem", "--outform", "pem", cwd=out
    )
    assert status == 0, said
    written = {x509.load_pem_x509_certificate(path.read_bytes()).subject.rfc4514_string() for path in out.iterdir()}
    assert len(written) == 2
    assert any("root" in name for name in written)
    assert any("issuing" in name for name in written)


@pytest.mark.parametrize("size", ["256", "384"])
async def test_strongswan_enrols_and_re_enrols(town: Platform, tmp_path: Path, size: str) -> None:
    pki = require("pki")
    claim = await town.claim("camera")
    key, csr, leaf = tmp_path / "key.pem", tmp_path / "csr.der", tmp_path / "leaf.pem"
    status, out, said = await run(pki, "--gen", "--type", "ecdsa", "--size", size, "--outform", "pem")
    assert status == 0, said
    key.write_bytes(out)
    status, out, said = await run(pki, "--req", "--type", "ecdsa", "--in", key, "--dn", "CN=door camera")
    assert status == 0, said
    csr.write_bytes(out)
    trust: list[str | Path] = ["--cacert", town.root, "--cacert", town.data / "trust" / "issuing.pem"]
    status, out, said = await run(
        pki, "--est", "--url", town.base, "--in", csr, *trust, "--userpass", f"{claim.claim.id}:{claim.secret}",
        "--outform", "pem",
    )  # fmt: skip
    assert status == 0, said
    leaf.write_bytes(out)
    first = x509.load_pem_x509_certificate(out)
    device = first.subject.rfc4514_string().removeprefix("CN=")
    assert is_device_id(device)

    new_key = tmp_path / "new.pem"
    status, out, said = await run(pki, "--gen", "--type", "ecdsa", "--size", "256", "--outform", "pem")
    new_key.write_bytes(out)
    status, out, said = await run(pki, "--req", "--type", "ecdsa", "--in", new_key, "--dn", f"CN={device}")
    csr.write_bytes(out)
    status, out, said = await run(
        pki, "--est", "--url", town.base, "--in", csr, *trust, "--cert", leaf, "--key", key, "--outform", "pem"
    )
    assert status == 0, said
    second = x509.load_pem_x509_certificate(out)
    assert second.subject == first.subject
    assert second.serial_number != first.serial_number
    assert second.public_key() != first.public_key()


async def test_curl_and_openssl_enrol_and_re_enrol(town: Platform, tmp_path: Path) -> None:
    require("curl"), require("openssl")
    claim = await town.claim("valve")
    enrol = f"""
        set -e
        openssl ecparam -name prime256v1 -genkey -noout -out key.pem
        openssl req -new -key key.pem -subj "/CN=new valve" -outform DER | openssl base64 > csr.b64
        curl -sS --fail-with-body --cacert {town.root} -u {claim.claim.id}:{claim.secret} \
          -H "Content-Type: application/pkcs10" --data-binary @csr.b64 {town.est}/simpleenroll \
          | openssl base64 -d -A | openssl pkcs7 -inform DER -print_certs -out cert.pem
        openssl x509 -in cert.pem -noout -subject -nameopt multiline | sed -n 's/ *commonName *= //p'
    """
    status, out, said = await run("bash", "-c", enrol, cwd=tmp_path)
    assert status == 0, out.decode() + said
    device = DeviceId(out.decode().strip())
    assert is_device_id(device)
    stored = await town.stores.devices.get(device)
    assert (stored.device_class, stored.owner, stored.stage, stored.standing) == (
        "valve", "facilities", Stage.COMMISSIONED, Standing.PENDING,
    )  # fmt: skip
    facts = await town.stores.evidence.recent(Subject(SubjectKind.DEVICE, device), 10)
    assert [fact.kind for fact in facts] == ["identity.enrolled"]

    renew = f"""
        set -e
        openssl ecparam -name secp384r1 -genkey -noout -out new.pem
        openssl req -new -key new.pem -subj "/CN={device}" -outform DER | openssl base64 > csr.b64
        curl -sS --fail-with-body --cacert {town.root} --cert cert.pem --key key.pem \
          -H "Content-Type: application/pkcs10" --data-binary @csr.b64 {town.est}/simplereenroll \
          | openssl base64 -d -A | openssl pkcs7 -inform DER -print_certs -out renewed.pem
        openssl verify -x509_strict -purpose sslclient -CAfile {town.root} \
          -untrusted {town.data}/trust/issuing.pem renewed.pem
    """
    status, out, said = await run("bash", "-c", renew, cwd=tmp_path)
    assert (status, out.decode().strip()) == (0, "renewed.pem: OK"), said
    kinds = await town.kinds()
    assert kinds.count("signing:device:intended") == kinds.count("signing:device:issued") == 2
