"""An image as an answer: whole or one range of it (RFC 9110 14), sent by pieces that the event loop reads only where they lie in
memory already. An image that is rolled out does; what does not is read by a thread."""

import asyncio
import os
import re
from dataclasses import dataclass
from pathlib import Path

from starlette.types import Receive, Scope, Send

PIECE = 128 * 1024
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


@dataclass(frozen=True, slots=True)
class Image:
    """An ASGI answer. ``digest`` is the file's SHA-256 in hex: its entity tag. ``range`` and ``if_range`` are the request's."""

    path: Path
    digest: str
    range: str = ""
    if_range: str = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            file, size = await asyncio.to_thread(_opened, self.path)
        except OSError:
            await _said(send, 404, b"The repository has no such file.\n", [])
            return
        try:
            tag = f'"{self.digest}"'
            asked = wanted(self.range, size) if self.range and self.if_range in ("", tag) else (0, size)
            if asked is None:
                await _said(send, 416, b"", [(b"content-range", f"bytes */{size}".encode())])
                return
            begins, ends = asked
            partial = [(b"content-range", f"bytes {begins}-{ends - 1}/{size}".encode())] if ends - begins < size else []
            headers = [
                (b"content-type", b"application/octet-stream"),
                (b"content-length", str(ends - begins).encode()),
                (b"accept-ranges", b"bytes"),
                (b"cache-control", b"no-cache"),
                (b"etag", tag.encode()),
                *partial,
            ]
            await send({"type": "http.response.start", "status": 206 if partial else 200, "headers": headers})
            while begins < ends:
                piece: bytes | bytearray | None = _in_memory(file, begins, min(PIECE, ends - begins))
                if piece is None:
                    piece = await asyncio.to_thread(os.pread, file, min(PIECE, ends - begins), begins)
                if not piece:
                    return  # cut off meanwhile: the client sees that it is too short
                begins += len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": begins < ends})
        finally:
            os.close(file)


def wanted(header: str, size: int) -> tuple[int, int] | None:
    """The octets that a Range header asks for, as begin and end; all of them for a form that is not one range; None where there
    are none such."""
    found = _RANGE.fullmatch(header.replace(" ", ""))
    if found is None or found[1] == found[2] == "":
        return 0, size
    if not found[1]:
        begins, ends = max(0, size - int(found[2])), size
    else:
        begins, ends = int(found[1]), min(size, int(found[2]) + 1) if found[2] else size
    return (begins, ends) if begins < ends else None


def _opened(path: Path) -> tuple[int, int]:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    return file, os.fstat(file).st_size


def _in_memory(file: int, at: int, count: int) -> bytearray | None:
    """What of it the page cache holds, without waiting for a disk; None where that is nothing, or cannot be asked."""
    piece = bytearray(count)
    try:
        read = os.preadv(file, [piece], at, os.RWF_NOWAIT)
    except OSError:
        return None
    if not read:
        return None
    return piece if read == count else piece[:read]


async def _said(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    told = [(b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})
