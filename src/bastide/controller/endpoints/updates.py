"""Updates as devices ask for them: what runs, what to take, and the repository's files (TUF), all by the device's certificate."""

import asyncio
import random
import re
from dataclasses import dataclass, field
from pathlib import Path

from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bastide.controller.endpoints.est import BODY_SECONDS
from bastide.controller.endpoints.images import Image
from bastide.controller.endpoints.peer import peer_certificate
from bastide.controller.endpoints.refusals import answer
from bastide.core.error import BastideError, Refused, Unreadable
from bastide.core.ids import DeviceId
from bastide.core.plan import CredentialState
from bastide.device.identity.certificate import fingerprint
from bastide.device.release.report import MAX_REPORT_BYTES, read_report, told_octets
from bastide.flows.offer_update import Offering
from bastide.ports.platform.credentials import CredentialReads

_METADATA = re.compile(r"([0-9]{1,9}\.)?[A-Za-z0-9_-]{1,64}\.json")
_TARGET = re.compile(r"(?P<place>[A-Za-z0-9._ +-]{1,64}/[^/]{1,64})/(?P<digest>[0-9a-f]{64})\.(?P<file>[^/]{1,200})")


AT_ONCE = 2000
"""Images that are sent at once, at about 200 KB of memory each; more devices are asked to come back."""
BACK_IN_S = (15, 60)


@dataclass(frozen=True, slots=True)
class Updates:
    """``folder`` is the repository (adapters.tuf.repository)."""

    offering: Offering
    credentials: CredentialReads
    folder: Path
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    def routes(self) -> list[Route]:
        return [
            Route("/v1/update", self.ask, methods=["POST"]),
            Route("/updates/metadata/{file}", self.metadata, methods=["GET"]),
            Route("/updates/targets/{path:path}", self.target, methods=["GET"]),
        ]

    async def ask(self, request: Request) -> Response:
        """A device says what runs on it, and is told what to take."""
        try:
            device = await self._device(request)
            told = await self.offering.told(device, read_report(await _body(request)))
        except BastideError as error:
            return answer(error)
        return Response(told_octets(told), media_type="application/json", headers={"Cache-Control": "no-store"})

    async def metadata(self, request: Request) -> Response:
        """Metadata is for every device that has a valid certificate, so that nothing expires on one that gets no updates now."""
        try:
            await self._device(request)
        except BastideError as error:
            return answer(error)
        return await self._metadata(request.path_params["file"])

    async def target(self, request: Request) -> ASGIApp:
        """A release's file is for devices that were told to take it."""
        try:
            device = await self._device(request)
            asked = _TARGET.fullmatch(request.path_params["path"])
            path = f"{asked['place']}/{asked['file']}" if asked else ""
            if not asked or ".." in path.split("/") or not await self.offering.may_fetch(device, path):
                raise Refused("This device was not told to take this file.", code="update:target:refused")
        except BastideError as error:
            return answer(error)
        if self._turns.locked():
            later = str(random.randint(*BACK_IN_S))  # noqa: S311 - spreads a crowd; nothing secret
            return PlainTextResponse("Many devices fetch images now; come back later.\n", 503, {"Retry-After": later})
        file = self.folder / "targets" / asked["place"] / f"{asked['digest']}.{asked['file']}"
        headers = request.headers
        image = Image(file, asked["digest"], headers.get("range", ""), headers.get("if-range", ""))

        async def in_turn(scope: Scope, receive: Receive, send: Send) -> None:
            async with self._turns:
                await image(scope, receive, send)

        return in_turn

    async def _device(self, request: Request) -> DeviceId:
        current = peer_certificate(request.scope)
        certificate = await self.credentials.certificate(fingerprint(current)) if current else None
        if certificate is None or certificate.state is CredentialState.REVOKED:
            raise Refused(
                "Connect with the device's valid certificate as the TLS client certificate.", code="update:certificate"
            )
        return certificate.device

    async def _metadata(self, name: str) -> Response:
        whole = self.folder / "metadata" / name
        if not _METADATA.fullmatch(name) or not await asyncio.to_thread(whole.is_file):
            return PlainTextResponse("The repository has no such file.\n", 404)
        return FileResponse(whole, media_type="application/json", headers={"Cache-Control": "no-cache"})


async def _body(request: Request) -> bytes:
    received = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                received += part
                if len(received) > MAX_REPORT_BYTES:
                    break
    except (TimeoutError, ClientDisconnect) as error:
        raise Unreadable("The report did not come whole.", code="update:report:unreadable") from error
    return bytes(received)
