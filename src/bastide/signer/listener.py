"""The unix socket: who may speak to the signer, and how much at once.

The socket is 0600 in a folder that is 0700, and each peer's user id is asked of the kernel (SO_PEERCRED): another user's
connection is closed unread. A frame that is too large, or a frame that does not come in full, ends its connection;
everything else gets an answer. Past ``IN_FLIGHT`` unanswered requests a connection is not read further.
"""

import asyncio
import logging
import os
import socket
import struct
from pathlib import Path

from bastide.core.error import BastideError, Unreadable
from bastide.signer.files import own_folder
from bastide.signer.service import Service
from bastide.wire.signing import FRAME_HEADER_BYTES, frame, length

IN_FLIGHT = 256
CONNECTIONS = 64
_LONGEST_PATH = 107  # sun_path, less its zero byte

log = logging.getLogger("bastide.signer")


class SocketUnusable(BastideError):
    """The signer cannot listen where it should."""

    code = "signer:socket:unusable"


class Listener:
    """Serves a :class:`Service` on a unix socket."""

    def __init__(self, service: Service, path: Path) -> None:
        self._service = service
        self._path = path
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._answers: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        if len(os.fsencode(self._path)) > _LONGEST_PATH:
            raise SocketUnusable(
                f"The socket {self._path} has too long a path: the system allows {_LONGEST_PATH} bytes. Choose a shorter data "
                "directory, or set BASTIDE_SIGNER_SOCKET."
            )
        own_folder(self._path.parent)
        self._path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            listening.bind(str(self._path))
        except OSError as error:
            listening.close()
            raise SocketUnusable(f"The signer cannot listen on {self._path}: {error.strerror}.") from error
        finally:
            os.umask(before)
        self._server = await asyncio.start_unix_server(self._connected, sock=listening, backlog=128)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        if ending := self._connections | self._answers:
            await asyncio.wait(ending)
        self._path.unlink(missing_ok=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            if len(self._connections) > CONNECTIONS or not _same_user(writer):
                log.warning("turned a connection away: another user's, or more than %d", CONNECTIONS)
                return
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        free = asyncio.Semaphore(IN_FLIGHT)
        under_way: set[asyncio.Task[None]] = set()
        try:
            while header := await _header(reader):
                payload = await reader.readexactly(length(header))
                await free.acquire()
                # Not cancelled with its connection: what was begun must end before the next tree head is judged.
                answer = asyncio.create_task(self._answer(payload, writer, free))
                for tasks in (under_way, self._answers):
                    tasks.add(answer)
                    answer.add_done_callback(tasks.discard)
        except Unreadable as error:
            log.warning("closed a connection: %s", error.sentence)
        if under_way:
            await asyncio.wait(under_way)

    async def _answer(self, payload: bytes, writer: asyncio.StreamWriter, free: asyncio.Semaphore) -> None:
        try:
            writer.write(frame(await self._service.answer(payload)))
            await writer.drain()
        except ConnectionError:
            pass  # whoever asked has gone; asking again under the same id gives the answer
        finally:
            free.release()


async def _header(reader: asyncio.StreamReader) -> bytes:
    """The next frame's header; empty where the peer closed between two frames."""
    first = await reader.read(1)
    return first + await reader.readexactly(FRAME_HEADER_BYTES - 1) if first else b""


def _same_user(writer: asyncio.StreamWriter) -> bool:
    raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", raw)
    return bool(user == os.getuid())
