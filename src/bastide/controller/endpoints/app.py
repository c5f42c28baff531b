"""The device endpoints as one ASGI app, bare Starlette: EST, updates, the revocation list, OCSP."""

import asyncio
import secrets
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography.x509.ocsp import OCSPResponseStatus
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from bastide.controller.endpoints.est import BODY_SECONDS, EST
from bastide.controller.endpoints.peer import peer_certificate
from bastide.controller.endpoints.refusals import Refusals, answer
from bastide.controller.endpoints.updates import Updates
from bastide.core.error import BastideError
from bastide.core.ids import DeviceId
from bastide.core.plan import CredentialState, UpdateEligibility
from bastide.device.credential.ocsp import MAX_REQUEST_BYTES, unsigned_answer
from bastide.device.identity.certificate import fingerprint
from bastide.flows.admit_device import Admitting
from bastide.flows.admit_tpm import TPMs
from bastide.flows.answer_status import StatusAnswers
from bastide.flows.issue_certificate import Enrolling
from bastide.flows.publish_revocations import RevocationLists
from bastide.ports.platform.admissions import AdmissionReads
from bastide.ports.platform.stores import DeviceReads
from bastide.wire.nkeys import Kind, decode_public


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What the app needs. ``authorities`` gives the CA certificates that hold now (DER): issuing, roots, links between roots."""

    enrolling: Enrolling
    devices: DeviceReads
    authorities: Callable[[], Sequence[bytes]]
    revocations: RevocationLists
    statuses: StatusAnswers
    admissions: AdmissionReads
    gateways: "Gateways | None" = None
    updates: Updates | None = None


@dataclass(frozen=True, slots=True)
class Gateways:
    """How a gateway joins: ``register`` lets its key in at the broker; it is told the plan key (PEM) and where the broker is."""

    register: Callable[[DeviceId, str], None]
    plan_key: str
    broker: str


def create_endpoints_app(deps: Endpoints) -> Starlette:
    """The ASGI app. Serve it with ``PeerCertificateProtocol``, or no device is ever known by its certificate."""
    refusals = Refusals(deps.enrolling.units, deps.enrolling.clock)
    admitting = Admitting(deps.enrolling, deps.admissions, deps.devices)
    est = EST(deps.enrolling, deps.devices, deps.authorities, refusals, admitting, TPMs(admitting, secrets.token_bytes))

    async def eligibility(request: Request) -> Response:
        current = peer_certificate(request.scope)
        if current is None:
            return PlainTextResponse("Connect with the device's certificate as the TLS client certificate.\n", 403)
        certificate = await deps.enrolling.reads.certificate(fingerprint(current))
        if certificate is None:
            return PlainTextResponse("This certificate is not among those that this platform issued.\n", 403)
        held = await deps.enrolling.reads.held(certificate.device)
        credential, update = held or (certificate.state, UpdateEligibility.NONE)
        if CredentialState.REVOKED in (credential, certificate.state):
            update = UpdateEligibility.NONE
        body = {"device": certificate.device, "credential": certificate.state.value, "update": update.value}
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    async def join(request: Request) -> Response:
        current = peer_certificate(request.scope)
        certificate = await deps.enrolling.reads.certificate(fingerprint(current)) if current else None
        if certificate is None or certificate.state is not CredentialState.VALID or deps.gateways is None:
            return PlainTextResponse(
                "Connect with the gateway's valid certificate as the TLS client certificate.\n", 403
            )
        device = await deps.devices.get(certificate.device)
        if device.device_class != "gateway":
            return PlainTextResponse(f"{device.id} is a {device.device_class}, and no gateway.\n", 403)
        body = await request.body()
        try:
            key = body.decode("ascii").strip() if len(body) <= 100 else ""
            decode_public(key, Kind.USER)
        except (UnicodeDecodeError, BastideError):
            return PlainTextResponse("The body must be the gateway's public user nkey.\n", 400)
        deps.gateways.register(device.id, key)
        return JSONResponse(
            {"gateway": device.id, "plan_key": deps.gateways.plan_key, "broker": deps.gateways.broker},
            headers={"Cache-Control": "no-store"},
        )

    async def crl(request: Request) -> Response:
        try:
            der = await deps.revocations.current(request.path_params.get("issuer", ""))
        except BastideError as error:
            return answer(error)
        return Response(der, media_type="application/pkix-crl", headers={"Cache-Control": "max-age=60"})

    async def ocsp(request: Request) -> Response:
        asked = await _ocsp_request(request)
        try:
            der, kept = await deps.statuses.answer(asked)
        except BastideError:
            der, kept = unsigned_answer(OCSPResponseStatus.TRY_LATER), False
        caching = "max-age=60, public, no-transform, must-revalidate" if kept else "no-store"
        return Response(der, media_type="application/ocsp-response", headers={"Cache-Control": caching})

    routes = [
        *est.routes(),
        Route("/v1/eligibility", eligibility, methods=["GET"]),
        Route("/v1/gateway", join, methods=["POST"]),
        Route("/crl", crl, methods=["GET"]),
        Route("/crl/{issuer}", crl, methods=["GET"]),
        Route("/ocsp", ocsp, methods=["POST"]),
        Route("/ocsp/{request:path}", ocsp, methods=["GET"]),
        *(deps.updates.routes() if deps.updates else ()),
    ]
    app = Starlette(routes=routes)
    app.state.refusals = refusals
    return app


async def _ocsp_request(request: Request) -> bytes:
    """The request's bytes (RFC 6960 A.1: in the path as base64, or in the body); empty where they are none or too many."""
    if request.method != "POST":
        try:
            return b64decode(request.path_params["request"][: MAX_REQUEST_BYTES * 2], validate=True)
        except (NotBase64, ValueError):
            return b""
    received = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                received += part
                if len(received) > MAX_REQUEST_BYTES:
                    return b""
    except (TimeoutError, ClientDisconnect):
        return b""
    return bytes(received)


def refused_in_handshake(app: Starlette) -> Callable[[str], None]:
    """What the listener of this app tells of client certificates that do not verify (``peer.hear_refusals``): it is recorded."""
    refusals: Refusals = app.state.refusals
    return refusals.refused_in_handshake
