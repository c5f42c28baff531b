"""Enrolment over Secure Transport: RFC 7030, with the clarifications of RFC 8951, under ``/.well-known/est``.

- 3.2.2: operations may stand below one path label; here it names a device class. 3.2.3: HTTP Basic, with a claim's name and
  password; a manufacturer certificate (IEEE 802.1AR) in TLS; or neither, where a person approves (4.2.3: 202 and Retry-After
  until then). 4.1 ``cacerts``, 4.2.1 ``simpleenroll``, 4.2.2 ``simplereenroll`` (needs the current certificate in TLS).
- 4.3 ``fullcmc``, 4.4 ``serverkeygen``: not offered, answered 501 with a reason. 4.5 ``csrattrs`` (RFC 9908): which key and
  signature a request should have.
- RFC 8951 3.1: no Content-Transfer-Encoding is expected; the answers carry one, which strict RFC 7030 clients want.
"""

import asyncio
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bastide.controller.endpoints.peer import peer_certificate, peer_chain
from bastide.controller.endpoints.refusals import Refusals, answer
from bastide.core.error import BastideError, Refused
from bastide.core.ids import is_name
from bastide.device.credential.est import MAX_BODY_BYTES, certs_only, csr_attributes, decode_body
from bastide.device.credential.issuance import Certificate
from bastide.device.identity.certificate import fingerprint
from bastide.flows.admit_device import Admitting, admit_anybody, admit_manufactured
from bastide.flows.admit_tpm import USERNAME, TPMs
from bastide.flows.enrol_device import enrol_device
from bastide.flows.issue_certificate import Enrolling
from bastide.flows.renew_device import renew_device
from bastide.ports.platform.stores import DeviceReads
from bastide.wire.tpm import MAX_BODY_BYTES as MAX_ASKED_BYTES
from bastide.wire.tpm import decode_asked, encode_challenge

BODY_SECONDS = 10.0
_CERTS_ONLY = "application/pkcs7-mime; smime-type=certs-only"
_NOT_OFFERED = {
    "fullcmc": (501, "Full CMC is not offered here. Use simpleenroll and simplereenroll."),
    "serverkeygen": (
        501,
        "This server makes no keys for devices: a device's key is made on the device and stays there.",
    ),
}
_NO_CMP = "CMP (RFC 4210, RFC 9480) is not offered here. Enrol over EST: /.well-known/est/simpleenroll."
_NEEDS_A_CLAIM = (
    "Enrolment needs a claim: send its user name and password by HTTP Basic authentication. `bastide claim create --class NAME` "
    "makes one."
)
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class EST:
    """The operations. ``authorities`` gives the CA certificates (DER), those that issue first (RFC 7030 4.1.3)."""

    enrolling: Enrolling
    devices: DeviceReads
    authorities: Callable[[], Sequence[bytes]]
    refusals: Refusals
    admitting: Admitting
    tpms: TPMs

    def routes(self) -> list[Route]:
        routes = []
        for prefix in ("", "/{label}"):
            routes += [
                Route(f"/.well-known/est{prefix}/cacerts", self.cacerts, methods=["GET"]),
                Route(f"/.well-known/est{prefix}/csrattrs", self.csrattrs, methods=["GET"]),
                Route(
                    f"/.well-known/est{prefix}/simpleenroll",
                    self._guarded("simpleenroll", self.enrol),
                    methods=["POST"],
                ),
                Route(
                    f"/.well-known/est{prefix}/simplereenroll",
                    self._guarded("simplereenroll", self.renew),
                    methods=["POST"],
                ),
            ]
            for operation, (status, reason) in _NOT_OFFERED.items():
                routes.append(
                    Route(
                        f"/.well-known/est{prefix}/{operation}",
                        _says(status, reason),
                        methods=["GET", "POST"],
                    )
                )
        routes.append(Route("/v1/tpm", self._guarded("tpm", self.challenge), methods=["POST"]))
        for path in ("/.well-known/cmp", "/.well-known/cmp/{rest:path}", "/pkix/"):
            routes.append(Route(path, _says(501, _NO_CMP), methods=["GET", "POST"]))
        return routes

    async def cacerts(self, request: Request) -> Response:
        return _certificates(self.authorities())

    async def csrattrs(self, request: Request) -> Response:
        return Response(
            csr_attributes(), media_type="application/csrattrs", headers={"Content-Transfer-Encoding": "base64"}
        )

    async def enrol(self, request: Request) -> Response:
        label = request.path_params.get("label", "")
        if label and not is_name(label):
            raise Refused(f"{label[:64]!r} is not the name of a device class.", code="enrolment:claim:class")
        if "authorization" in request.headers:
            name, secret = _credentials(request)
            der = decode_body(await _body(request))
            if name.startswith(USERNAME):
                certificate = await self.tpms.admit(name, secret, der, label, _source(request))
            else:
                certificate = await enrol_device(name, secret, der, label, self.enrolling)
        else:
            certificate = await self._admit(request, label)
        return _certificates([certificate.der])

    async def challenge(self, request: Request) -> Response:
        """Before ``simpleenroll``, for a device with a TPM: a secret that only its TPM can read."""
        asked = decode_asked(await _body(request, "application/json", MAX_ASKED_BYTES))
        made = encode_challenge(await self.tpms.challenge(asked))
        return Response(made, media_type="application/json", headers={"Cache-Control": "no-store"})

    async def _admit(self, request: Request, label: str) -> Certificate:
        """Without a claim: by a manufacturer certificate, or by asking. ``Refused`` asks for a claim where neither goes."""
        source = _source(request)
        shown = peer_chain(request.scope)
        if shown and await self.enrolling.reads.certificate(fingerprint(shown[0])) is None:
            der = decode_body(await _body(request))
            return await admit_manufactured(shown, der, label, source, self.admitting)
        if not shown:
            der = decode_body(await _body(request))
            certificate = await admit_anybody(der, label, source, self.admitting)
            if certificate is not None:
                return certificate
        raise Refused(_NEEDS_A_CLAIM, code="enrolment:credentials:missing")

    async def renew(self, request: Request) -> Response:
        current = peer_certificate(request.scope)
        if current is None:
            raise Refused(
                "A renewal needs the current certificate: connect with it as the TLS client certificate. A device that has none "
                "enrols with a claim, at simpleenroll.",
                code="renewal:certificate:missing",
            )
        der = decode_body(await _body(request))
        certificate = await renew_device(current, der, self.devices, self.enrolling)
        return _certificates([certificate.der])

    def _guarded(self, operation: str, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            try:
                return await handler(request)
            except Refused as refused:
                try:
                    await self.refusals.record(operation, _subject(request), refused, _source(request))
                except BastideError as unwritten:
                    return answer(unwritten)
                return answer(refused)
            except BastideError as error:
                return answer(error)
            except ClientDisconnect:
                return Response(status_code=400)

        return guarded


def _source(request: Request) -> str:
    """The address that a request came from."""
    return request.client.host if request.client else ""


def _subject(request: Request) -> str:
    """Who was refused, as far as it is known: a certificate, or a claim's name as it was given."""
    current = peer_certificate(request.scope)
    if current is not None:
        return f"certificate:{fingerprint(current)}"
    try:
        return f"claim:{_credentials(request)[0][:64]}"
    except Refused:
        return "enrolment"


def _credentials(request: Request) -> tuple[str, str]:
    """Name and password of HTTP Basic (RFC 7617); ``Refused`` asks for them."""
    given = request.headers.get("authorization", "")
    scheme, _, encoded = given.partition(" ")
    if scheme.lower() != "basic":
        raise Refused(_NEEDS_A_CLAIM, code="enrolment:credentials:missing")
    try:
        name, colon, secret = b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (NotBase64, ValueError):
        name, colon, secret = "", "", ""
    if not colon or not name or len(name) > 64 or len(secret) > 256:
        raise Refused("The Authorization header is not HTTP Basic.", code="enrolment:credentials:unreadable")
    return name, secret


async def _body(request: Request, wanted: str = "application/pkcs10", most: int = MAX_BODY_BYTES) -> bytes:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != wanted:
        raise Refused(f"The body is of type {media_type[:80]!r}; {wanted} is wanted.", code="enrolment:media-type")
    received = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                received += part
                if len(received) > most:
                    raise Refused(
                        f"The body has more than {most} bytes, which no certificate request needs.",
                        code="enrolment:body:too-large",
                    )
    except TimeoutError as error:
        raise Refused(
            f"The body did not come within {BODY_SECONDS:.0f} seconds.", code="enrolment:body:slow"
        ) from error
    return bytes(received)


def _certificates(ders: Sequence[bytes]) -> Response:
    headers = {"Content-Transfer-Encoding": "base64"}
    return Response(certs_only(ders), media_type=_CERTS_ONLY, headers=headers)


def _says(status: int, reason: str) -> Handler:
    async def say(request: Request) -> Response:
        return PlainTextResponse(f"{reason}\n", status)

    return say
