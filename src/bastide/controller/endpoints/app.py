"""The device endpoints as one ASGI app, bare Starlette: EST, update eligibility, the revocation list."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from bastide.controller.endpoints.est import EST
from bastide.controller.endpoints.peer import peer_certificate
from bastide.controller.endpoints.refusals import Refusals, answer
from bastide.core.error import BastideError
from bastide.core.plan import CredentialState, UpdateEligibility
from bastide.device.identity.certificate import fingerprint
from bastide.flows.issue_certificate import Enrolling
from bastide.flows.publish_revocations import RevocationList
from bastide.ports.platform.stores import DeviceReads


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What the app needs. ``authorities`` are the CA certificates in DER: issuing, root."""

    enrolling: Enrolling
    devices: DeviceReads
    authorities: Sequence[bytes]
    revocations: RevocationList


def create_endpoints_app(deps: Endpoints) -> Starlette:
    """The ASGI app. Serve it with ``PeerCertificateProtocol``, or no device is ever known by its certificate."""
    refusals = Refusals(deps.enrolling.units, deps.enrolling.clock)
    est = EST(deps.enrolling, deps.devices, deps.authorities, refusals)

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

    async def crl(request: Request) -> Response:
        try:
            der = await deps.revocations.current()
        except BastideError as error:
            return answer(error)
        return Response(der, media_type="application/pkix-crl", headers={"Cache-Control": "max-age=60"})

    routes = [
        *est.routes(),
        Route("/v1/eligibility", eligibility, methods=["GET"]),
        Route("/crl", crl, methods=["GET"]),
    ]
    app = Starlette(routes=routes)
    app.state.refusals = refusals
    return app


def refused_in_handshake(app: Starlette) -> Callable[[str], None]:
    """What the listener of this app tells of client certificates that do not verify (``peer.hear_refusals``): it is recorded."""
    refusals: Refusals = app.state.refusals
    return refusals.refused_in_handshake
