"""The signer's socket: who may speak, and how much."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import cast

import pytest

from bastide.signer.listener import IN_FLIGHT, Listener, SocketUnusable
from bastide.signer.service import Service
from bastide.wire.signing import FRAME_LIMIT_BYTES, frame, length


class Echo:
    """Answers with what was asked, once it is allowed to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.asked = 0

    async def answer(self, payload: bytes) -> bytes:
        self.asked += 1
        await self.go.wait()
        return payload


@asynccontextmanager
async def listening(path: Path) -> AsyncIterator[Echo]:
    echo = Echo()
    listener = Listener(cast(Service, echo), path)
    await listener.start()
    try:
        yield echo
    finally:
        echo.go.set()
        await listener.close()


@asynccontextmanager
async def speaking(path: Path) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_the_same_user_is_answered_also_after_it_said_all_it_had_to_say(tmp_path: Path) -> None:
    path = tmp_path / "run" / "s"
    async with listening(path) as echo, speaking(path) as (reader, writer):
        writer.write(frame(b"one") + frame(b"two"))
        writer.write_eof()
        echo.go.set()
        answers = [await reader.readexactly(length(await reader.readexactly(4))) for _ in range(2)]
        assert sorted(answers) == [b"one", b"two"]
        assert await reader.read() == b""
    assert not path.exists()


async def test_another_user_is_turned_away_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run" / "s"
    me = os.getuid()
    async with listening(path) as echo:
        monkeypatch.setattr(os, "getuid", lambda: me + 1)
        async with speaking(path) as (reader, writer):
            writer.write(frame(b"one"))
            try:
                said = await reader.read()
            except ConnectionResetError:  # what was sent was not even read
                said = b""
        assert (said, echo.asked) == (b"", 0)


async def test_a_frame_that_is_too_large_ends_the_connection_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run" / "s"
    async with listening(path) as echo, speaking(path) as (reader, writer):
        writer.write((FRAME_LIMIT_BYTES + 1).to_bytes(4, "big"))
        assert await reader.read() == b""
        assert echo.asked == 0


async def test_past_a_number_of_unanswered_requests_no_more_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "run" / "s"
    async with listening(path) as echo, speaking(path) as (reader, writer):
        writer.write(frame(b"x") * (IN_FLIGHT + 50))
        async with asyncio.timeout(5):
            while echo.asked < IN_FLIGHT:  # noqa: ASYNC110
                await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
        assert echo.asked == IN_FLIGHT
        echo.go.set()
        async with asyncio.timeout(5):
            await reader.readexactly((IN_FLIGHT + 50) * 5)


async def test_a_path_that_the_system_cannot_bind_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(SocketUnusable, match="too long a path"):
        async with listening(tmp_path / ("x" * 120)):
            pass
