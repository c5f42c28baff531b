"""The signer over its unix socket (wire/signing.py). Implements ports.keys.Signer.

One connection carries many requests at once. Where it breaks, requests that wait are sent again on the next one, under the
same id, which is safe: the signer answers one id once. After ``GIVE_UP`` without an answer a request is ``Unavailable``.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from bastide.core.error import Refused, Unavailable, Unreadable
from bastide.core.ids import DeviceClass, DeviceId, RequestId
from bastide.wire.signing import (
    CRL,
    FRAME_HEADER_BYTES,
    Answer,
    Authority,
    Body,
    BrokerUser,
    Checkpoint,
    DeviceCertificate,
    LastCheckpoint,
    NextIssuing,
    OCSPResponder,
    Outcome,
    PlanToSign,
    ServerCertificate,
    decode_answer,
    decode_head,
    encode_request,
    frame,
    length,
)

GIVE_UP = timedelta(seconds=10)
_RETRY_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5)


class SignerClient:
    """``path`` is the signer's socket. Close with :meth:`close`."""

    def __init__(self, path: Path, give_up: timedelta = GIVE_UP) -> None:
        self._path = path
        self._give_up = give_up
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._correlation = 0

    async def device_certificate(
        self,
        request_id: RequestId,
        *,
        csr: bytes,
        device: DeviceId,
        device_class: DeviceClass,
        not_before: datetime,
        not_after: datetime,
    ) -> bytes:
        body = DeviceCertificate(csr, device, device_class, _seconds(not_before), _seconds(not_after))
        return await self._ask(request_id, body)

    async def server_certificate(self, request_id: RequestId, *, csr: bytes, names: Sequence[str]) -> bytes:
        return await self._ask(request_id, ServerCertificate(csr, list(names)))

    async def ocsp_certificate(self, request_id: RequestId, *, csr: bytes, issuer: str) -> bytes:
        return await self._ask(request_id, OCSPResponder(csr, issuer))

    async def crl(
        self, request_id: RequestId, *, revoked: Sequence[tuple[int, datetime]], this_update: datetime, issuer: str
    ) -> bytes:
        entries = [(serial.to_bytes((serial.bit_length() + 8) // 8, "big"), _seconds(at)) for serial, at in revoked]
        return await self._ask(request_id, CRL(entries, _seconds(this_update), issuer))

    async def checkpoint(
        self, request_id: RequestId, *, origin: str, size: int, root: bytes, consistency: Sequence[bytes]
    ) -> str:
        return (await self._ask(request_id, Checkpoint(origin, size, root, list(consistency)))).decode()

    async def broker_user(self, request_id: RequestId, *, claims: bytes) -> str:
        return (await self._ask(request_id, BrokerUser(claims))).decode()

    async def plan(self, request_id: RequestId, *, plan: bytes) -> bytes:
        return await self._ask(request_id, PlanToSign(plan))

    async def next_issuing(self, request_id: RequestId) -> bytes:
        return await self._ask(request_id, NextIssuing())

    async def take_authority(self, request_id: RequestId, *, certificates: Sequence[bytes]) -> str:
        return (await self._ask(request_id, Authority(list(certificates)))).decode()

    async def last_checkpoint(self) -> tuple[int, bytes] | None:
        head = decode_head(await self._ask(RequestId("last-checkpoint"), LastCheckpoint()))
        return (head.size, head.root) if head.root else None

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            with suppress(asyncio.CancelledError):
                await self._reading
        await self._drop()

    async def _ask(self, request_id: RequestId, body: Body) -> bytes:
        try:
            async with asyncio.timeout(self._give_up.total_seconds()):
                answer = await self._exchange(request_id, body)
        except TimeoutError as error:
            raise Unavailable(
                f"The signer does not answer on {self._path}. It is started by `bastide up`; its log says why it is not there.",
                code="signer:unavailable",
            ) from error
        match answer.outcome:
            case Outcome.DONE:
                return answer.body
            case Outcome.REFUSED:
                raise Refused(answer.sentence, code=answer.code)
            case Outcome.UNAVAILABLE:
                raise Unavailable(answer.sentence, code=answer.code)

    async def _exchange(self, request_id: RequestId, body: Body) -> Answer:
        attempt = 0
        while True:
            self._correlation += 1
            correlation = self._correlation
            answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            payload = frame(encode_request(correlation, request_id, body))
            try:
                writer = await self._connected()
                self._waiting[correlation] = answer
                writer.write(payload)
                await writer.drain()
                return await answer
            except OSError:
                await asyncio.sleep(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)])
                attempt += 1
            finally:
                self._waiting.pop(correlation, None)
                if answer.done() and not answer.cancelled():
                    answer.exception()  # seen, also where writing failed first

    async def _connected(self) -> asyncio.StreamWriter:
        async with self._connecting:
            if self._writer is None or self._writer.is_closing():
                await self._drop()
                reader, self._writer = await asyncio.open_unix_connection(self._path)
                self._reading = asyncio.create_task(self._read(reader, self._writer))
            return self._writer

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                payload = await reader.readexactly(length(await reader.readexactly(FRAME_HEADER_BYTES)))
                answer = decode_answer(payload)
                waiting = self._waiting.get(answer.correlation)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        except (OSError, asyncio.IncompleteReadError, Unreadable):
            pass  # those who wait try again on another connection
        finally:
            writer.close()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionResetError("the signer closed the connection"))

    async def _drop(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
