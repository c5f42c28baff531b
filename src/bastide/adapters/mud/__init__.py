"""MUD files over HTTPS: what a device names is fetched as what a stranger names.

* https only, with a certificate of the web's roots (or those of ``trust``); at most three redirects, each under the same rules
* a host that resolves to an address of our own networks is refused, and the address that was looked at is the one that is
  connected to: no device makes the controller ask an inner host for it
* bounded in size and in time
"""

import asyncio
import socket
import ssl
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx

from bastide.core.error import Refused, Unavailable
from bastide.network.profile.mud.read import read
from bastide.network.profile.mud.signature import MAX_SIGNATURE_BYTES
from bastide.network.profile.mud.strictjson import MAX_BYTES
from bastide.network.profile.mud.words import MUDRefused
from bastide.ports.platform.mud import Fetched

TIMEOUT_SECONDS = 15.0
MOST_REDIRECTS = 3


class HTTPSMUDFiles:
    """Implements ports.platform.mud.MUDFiles. ``trust`` (PEM) takes the place of the web's roots; ``private`` lets hosts of our
    own networks be asked."""

    def __init__(self, trust: Path | None = None, *, private: bool = False) -> None:
        self._trust, self._private = trust, private

    async def fetch(self, url: str) -> Fetched:
        """See ports."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self._fetch(url)
        except TimeoutError as error:
            raise Unavailable(
                f"{url} did not answer within {TIMEOUT_SECONDS:.0f} s.", code="mud:fetch:timeout"
            ) from error

    async def _fetch(self, url: str) -> Fetched:
        context = ssl.create_default_context(cafile=str(self._trust) if self._trust else None)
        async with httpx.AsyncClient(verify=context, trust_env=False, timeout=TIMEOUT_SECONDS) as client:
            document = await self._get(client, url, MAX_BYTES, "application/mud+json")
            try:
                named = read(document).file.signature
            except MUDRefused:
                return Fetched(document)  # whoever asked for it says what is wrong with it
            if not named:
                return Fetched(document)
            try:
                place = urljoin(url, named)
                return Fetched(
                    document, await self._get(client, place, MAX_SIGNATURE_BYTES, "application/pkcs7-signature")
                )
            except (Refused, Unavailable) as error:
                return Fetched(document, None, error.sentence)

    async def _get(self, client: httpx.AsyncClient, url: str, limit: int, kind: str) -> bytes:
        for _ in range(MOST_REDIRECTS + 1):
            host, port, path = self._parts(url)
            address = await self._address(host, port)
            literal = f"[{address}]" if ":" in address else address
            request = client.build_request(
                "GET",
                f"https://{literal}:{port}{path}",
                headers={"Host": host if port == 443 else f"{host}:{port}", "Accept": kind, "Accept-Language": "en"},
                extensions={"sni_hostname": host},
            )
            try:
                answer = await client.send(request, stream=True)
                try:
                    if answer.is_redirect:
                        url = urljoin(url, answer.headers.get("Location", ""))
                        continue
                    if answer.status_code != 200:
                        raise Unavailable(f"{url} answers with status {answer.status_code}.", code="mud:fetch:status")
                    return await _bounded(answer, limit, url)
                finally:
                    await answer.aclose()
            except httpx.HTTPError as error:
                said = " ".join(str(error).split())[:200] or type(error).__name__
                raise Unavailable(f"{url} cannot be fetched: {said}.", code="mud:fetch:broken") from error
        raise Refused(f"{url} redirects more than {MOST_REDIRECTS} times.", code="mud:fetch:redirects")

    def _parts(self, url: str) -> tuple[str, int, str]:
        try:
            parts = urlsplit(url)
            port = parts.port or 443
        except ValueError as error:
            raise Refused(f"{url[:200]!r} is not a URL.", code="mud:fetch:url") from error
        if parts.scheme != "https" or not parts.hostname or parts.username or parts.password:
            raise Refused(
                f"{url[:200]!r} is not fetched: a MUD URL is https, with a host and without a password.",
                code="mud:fetch:url",
            )
        return parts.hostname, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    async def _address(self, host: str, port: int) -> str:
        """The address to connect to: looked at once, so that a name cannot be another host at the second look."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Unavailable(f"{host} cannot be resolved: {error}.", code="mud:fetch:dns") from error
        addresses = [str(where[4][0]).partition("%")[0] for where in found]
        inner = [one for one in addresses if not ip_address(one).is_global or ip_address(one).is_multicast]
        if inner and not self._private:
            raise Refused(
                f"{host} is {inner[0]}, an address of our own networks; what a device names is fetched from outside only. "
                "Set BASTIDE_MUD_PRIVATE=true where makers' files are served inside.",
                code="mud:fetch:private",
            )
        return addresses[0]


async def _bounded(answer: httpx.Response, limit: int, url: str) -> bytes:
    content = bytearray()
    async for part in answer.aiter_bytes():
        content += part
        if len(content) > limit:
            raise Refused(f"{url} answers with more than {limit} bytes.", code="mud:fetch:length")
    return bytes(content)
