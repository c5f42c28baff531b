"""Revocation as others check it: `openssl ocsp` and `openssl verify -crl_check` agree, of a revoked one and a good one."""

import ssl
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from bastide.core.plan import CredentialState, UpdateEligibility
from bastide.device.identity.certificate import device_of
from bastide.flows.enrol_device import enrol_device
from tests.peers import require
from tests.scenarios.enrolment.platform import Platform, new_request, run
from tests.scenarios.enrolment.test_refusals import held


async def test_openssl_learns_by_ocsp_and_by_crl_that_a_certificate_is_revoked(town: Platform, tmp_path: Path) -> None:
    require("openssl")
    leaf = await _enrolled(town, tmp_path)
    assert "leaf.pem: good" in await _openssl_ocsp(town, tmp_path)
    await _revoke(town, leaf)
    assert "leaf.pem: revoked" in await _openssl_ocsp(town, tmp_path)
    assert "certificate revoked" in await _openssl_crl(town, tmp_path)
    await _enrolled(town, tmp_path)
    assert "leaf.pem: good" in await _openssl_ocsp(town, tmp_path)
    assert "leaf.pem: OK" in await _openssl_crl(town, tmp_path)


async def test_a_get_may_be_cached_until_the_state_changes_and_a_nonce_comes_back(
    town: Platform, tmp_path: Path
) -> None:
    leaf, issuing = await _enrolled(town, tmp_path), _issuing(town)
    asked = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuing, hashes.SHA1())
    plain = asked.build().public_bytes(Encoding.DER)
    nonce = asked.add_extension(x509.OCSPNonce(b"n" * 32), critical=False).build().public_bytes(Encoding.DER)
    async with _client(town) as client:
        path = "/ocsp/" + quote(b64encode(plain).decode(), safe="")
        first, second = await client.get(path), await client.get(path)
        assert first.content == second.content
        assert "max-age" in first.headers["cache-control"]
        with_nonce = await client.post("/ocsp", content=nonce)
        read = ocsp.load_der_ocsp_response(with_nonce.content)
        assert read.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"n" * 32
        assert with_nonce.headers["cache-control"] == "no-store"
        await _revoke(town, leaf)
        third = ocsp.load_der_ocsp_response((await client.get(path)).content)
        assert third.certificate_status is ocsp.OCSPCertStatus.REVOKED


async def test_what_is_no_question_about_this_ca_gets_no_status(town: Platform, tmp_path: Path) -> None:
    leaf = await _enrolled(town, tmp_path)
    root = x509.load_pem_x509_certificate(town.root.read_bytes())
    foreign = ocsp.OCSPRequestBuilder().add_certificate(leaf, root, hashes.SHA256()).build().public_bytes(Encoding.DER)
    long_nonce = (
        ocsp.OCSPRequestBuilder()
        .add_certificate(leaf, _issuing(town), hashes.SHA256())
        .add_extension(x509.OCSPNonce(b"n" * 129), critical=False)
        .build()
        .public_bytes(Encoding.DER)
    )
    unissued = (
        ocsp.OCSPRequestBuilder()
        .add_certificate_by_hash(*_hashes(leaf, town), 4711, hashes.SHA256())
        .build()
        .public_bytes(Encoding.DER)
    )
    async with _client(town) as client:
        for request, said in [
            (b"", ocsp.OCSPResponseStatus.MALFORMED_REQUEST),
            (b"\x30" * 5000, ocsp.OCSPResponseStatus.MALFORMED_REQUEST),
            (b"\x30\x80rubbish", ocsp.OCSPResponseStatus.MALFORMED_REQUEST),
            (long_nonce, ocsp.OCSPResponseStatus.MALFORMED_REQUEST),
            (foreign, ocsp.OCSPResponseStatus.UNAUTHORIZED),
        ]:
            answer = ocsp.load_der_ocsp_response((await client.post("/ocsp", content=request)).content)
            assert answer.response_status is said
        answer = ocsp.load_der_ocsp_response((await client.post("/ocsp", content=unissued)).content)
        assert answer.certificate_status is ocsp.OCSPCertStatus.UNKNOWN
        assert (await client.get("/ocsp/not%20base64")).status_code == 200


async def test_without_the_signer_the_answer_is_to_try_later(town: Platform, tmp_path: Path) -> None:
    leaf = await _enrolled(town, tmp_path)
    request = ocsp.OCSPRequestBuilder().add_certificate(leaf, _issuing(town), hashes.SHA256()).build()
    town.signer.kill()
    async with _client(town) as client:
        answer = await client.post("/ocsp", content=request.public_bytes(Encoding.DER), timeout=30)
    assert ocsp.load_der_ocsp_response(answer.content).response_status is ocsp.OCSPResponseStatus.TRY_LATER


async def _enrolled(town: Platform, folder: Path) -> x509.Certificate:
    claim = await town.claim("camera")
    _, csr = new_request()
    certificate = await enrol_device(claim.claim.id, claim.secret, csr, "", town.enrolling)
    leaf = x509.load_der_x509_certificate(certificate.der)
    (folder / "leaf.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    return leaf


async def _revoke(town: Platform, leaf: x509.Certificate) -> None:
    plan = held(device_of(leaf), 1, CredentialState.REVOKED, UpdateEligibility.NONE)
    assert (await town.credential.apply(plan)).holds == "revoked"


async def _openssl_ocsp(town: Platform, folder: Path) -> str:
    trust = town.data / "trust"
    status, out, said = await run(
        "openssl", "ocsp", "-url", f"{town.base}/ocsp", "-issuer", trust / "issuing.pem", "-cert", "leaf.pem",
        "-CAfile", trust / "authorities.pem", cwd=folder,
    )  # fmt: skip
    assert status == 0, said
    assert "Response verify OK" in said
    return out.decode()


async def _openssl_crl(town: Platform, folder: Path) -> str:
    async with _client(town) as client:
        der = (await client.get("/crl")).content
    crl = x509.load_der_x509_crl(der)
    (folder / "crl.pem").write_bytes(crl.public_bytes(Encoding.PEM))
    _, out, said = await run(
        "openssl", "verify", "-crl_check", "-CRLfile", "crl.pem", "-CAfile", town.root,
        "-untrusted", town.data / "trust" / "issuing.pem", "leaf.pem", cwd=folder,
    )  # fmt: skip
    return out.decode() + said


def _issuing(town: Platform) -> x509.Certificate:
    return x509.load_pem_x509_certificate((town.data / "trust" / "issuing.pem").read_bytes())


def _hashes(leaf: x509.Certificate, town: Platform) -> tuple[bytes, bytes]:
    asked = ocsp.OCSPRequestBuilder().add_certificate(leaf, _issuing(town), hashes.SHA256()).build()
    return asked.issuer_name_hash, asked.issuer_key_hash


def _client(town: Platform) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=town.base, verify=ssl.create_default_context(cafile=str(town.root)))
