"""Makers' files over HTTPS, from a real server on loopback: what is fetched, and what is refused."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bastide.adapters.mud import HTTPSMUDFiles
from bastide.core.error import Refused, Unavailable
from bastide.network.profile.mud.strictjson import MAX_BYTES
from tests.browser.tls import write_leaf
from tests.gateway.plans import mud

LAMP = mud("lamp", hosts=("192.0.2.7",))
SIGNED = LAMP.replace(b'"is-supported"', b'"mud-signature": "https://localhost:PORT/lamp.p7s", "is-supported"')


def signed(port: int) -> bytes:
    return SIGNED.replace(b"PORT", str(port).encode())


def answering(path: str, port: int) -> bytes:
    found = {
        "/lamp.json": (200, LAMP),
        "/signed.json": (200, signed(port)),
        "/lamp.p7s": (200, b"a signature"),
        "/lost.json": (200, signed(port).replace(b"lamp.p7s", b"gone.p7s")),
        "/rubbish.json": (200, b"<html>"),
        "/long.json": (200, b"x" * (MAX_BYTES + 1)),
        "/moved.json": (302, b"/lamp.json"),
        "/round.json": (302, b"/round.json"),
        "/plain.json": (302, b"http://localhost/lamp.json"),
        "/inner.json": (302, f"https://127.0.0.1:{port}/lamp.json".encode()),
    }.get(path, (404, b"nothing"))
    where = f"Location: {found[1].decode()}\r\n" if found[0] == 302 else ""
    head = f"HTTP/1.1 {found[0]} said\r\n{where}Content-Length: {len(found[1])}\r\nConnection: close\r\n\r\n"
    return head.encode() + found[1]


@asynccontextmanager
async def maker(folder: Path) -> AsyncIterator[tuple[str, Path, list[bytes]]]:
    """(its address, its certificate, the requests that it got)"""
    certificate, key = write_leaf(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            heads.append(head)
            writer.write(answering(head.split(b" ")[1].decode(), port))
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"https://localhost:{port}", certificate, heads
    finally:
        server.close()
        await server.wait_closed()


async def test_a_file_is_fetched_with_the_signature_that_it_names(tmp_path: Path) -> None:
    async with maker(tmp_path) as (address, certificate, heads):
        files = HTTPSMUDFiles(certificate, private=True)
        plain = await files.fetch(f"{address}/lamp.json")
        assert (plain.document, plain.signature, plain.missing) == (LAMP, None, "")
        whole = await files.fetch(f"{address}/signed.json")
        assert (whole.document, whole.signature) == (signed(int(address.rpartition(":")[2])), b"a signature")
        lost = await files.fetch(f"{address}/lost.json")
        assert lost.signature is None
        assert "status 404" in lost.missing
        assert (await files.fetch(f"{address}/moved.json")).document == LAMP
        assert (await files.fetch(f"{address}/rubbish.json")).document == b"<html>"
    assert b"Accept: application/mud+json" in heads[0]
    assert f"Host: {address.removeprefix('https://')}".encode() in heads[0]


async def test_hosts_of_our_own_networks_are_not_asked(tmp_path: Path) -> None:
    async with maker(tmp_path) as (address, certificate, heads):
        files = HTTPSMUDFiles(certificate)
        for url in (
            f"{address}/lamp.json",
            address.replace("localhost", "127.0.0.1") + "/lamp.json",
            "https://[::1]/x",
        ):
            with pytest.raises(Refused, match="address of our own networks"):
                await files.fetch(url)
        assert heads == []


@pytest.mark.parametrize(
    "path", ["/round.json", "/plain.json", "/long.json"], ids=["for ever", "to plain HTTP", "more than is read"]
)
async def test_what_leads_nowhere_good_is_refused(path: str, tmp_path: Path) -> None:
    async with maker(tmp_path) as (address, certificate, _):
        with pytest.raises(Refused):
            await HTTPSMUDFiles(certificate, private=True).fetch(address + path)


async def test_a_host_that_does_not_answer_as_it_should_is_unavailable(tmp_path: Path) -> None:
    async with maker(tmp_path) as (address, certificate, _):
        with pytest.raises(Unavailable, match="status 404"):
            await HTTPSMUDFiles(certificate, private=True).fetch(f"{address}/none.json")
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await HTTPSMUDFiles(private=True).fetch(f"{address}/lamp.json")
    with pytest.raises(Unavailable):
        await HTTPSMUDFiles(certificate, private=True).fetch(f"{address}/lamp.json")


@pytest.mark.parametrize(
    "url", ["http://a.example/x", "https://", "https://u:p@a.example/", "https://a:99999/", "ftp://a", ""]
)
async def test_what_is_no_mud_url_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        await HTTPSMUDFiles().fetch(url)
