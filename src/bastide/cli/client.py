"""The API as commands use it: one connection, our own root of trust, and every error as one sentence.

``http.client`` and ``ssl`` rather than a library: a command starts in a tenth of a second.
"""

import http.client
import json
import re
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from bastide.cli.config import ClientSettings, client_settings
from bastide.core.error import BastideError, Refused, Unavailable

PREFIX = "/api/v1"
TIMEOUT_S = 30.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024
PAGE = 500

_DEVICE = re.compile(r"d-[a-z2-7]{20}")


class Answered(BastideError):
    """The API refused; ``status`` is the HTTP status, the sentence the API's own."""

    code = "api:refused"

    def __init__(self, sentence: str, status: int, code: str) -> None:
        super().__init__(sentence, code=code)
        self.status = status


class Client:
    """A client of one Bastide: ``with connect(data) as api: api.get("/devices")``. Not for several threads."""

    def __init__(self, settings: ClientSettings) -> None:
        parts = urlsplit(settings.url)
        if parts.scheme != "https" or not parts.hostname:
            raise Refused(f"{settings.url!r} is not the address of a Bastide; it reads https://host:port.")
        self._settings = settings
        trust = str(settings.trust) if settings.trust else None
        try:
            context = ssl.create_default_context(cafile=trust)
        except (ssl.SSLError, OSError) as error:
            raise Refused(f"{trust} cannot be read as a root certificate: {error}.") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._connection = http.client.HTTPSConnection(
            parts.hostname, parts.port or 443, timeout=TIMEOUT_S, context=context
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def get(self, path: str, /, **query: Any) -> Any:
        """The decoded answer. Query members that are None or empty are left out; sequences are repeated."""
        told = {name.rstrip("_"): value for name, value in query.items() if value not in (None, "", [], ())}
        return self._ask("GET", f"{path}?{urlencode(told, doseq=True)}" if told else path)

    def pages(self, path: str, /, *, most: int | None = None, **query: Any) -> Iterator[Any]:
        """The items of a list, page by page, ``most`` at most."""
        after, given = "", 0
        while most is None or given < most:
            limit = PAGE if most is None else min(PAGE, most - given)
            page = self.get(path, after=after, limit=limit, **query)
            yield from page["items"]
            given, after = given + len(page["items"]), page["next"]
            if not after:
                return

    def post(self, path: str, body: Any = None) -> Any:
        return self._ask("POST", path, {} if body is None else body)

    def put(self, path: str, body: Any) -> Any:
        return self._ask("PUT", path, body)

    def patch(self, path: str, body: Any) -> Any:
        return self._ask("PATCH", path, body)

    def delete(self, path: str) -> Any:
        return self._ask("DELETE", path)

    def download(self, path: str, /, **query: Any) -> Iterator[bytes]:
        """An answer's bytes as they come, for what is too long to hold."""
        told = {name: value for name, value in query.items() if value not in (None, "")}
        response = self._send("GET", f"{path}?{urlencode(told)}" if told else path, None)
        if response.status >= 400:
            raise _refusal(response.status, response.read(MAX_ANSWER_BYTES))
        while piece := response.read(1 << 16):
            yield piece

    def device(self, named: str) -> str:
        """The id of a device that was named by its id, or by a part of id or name that only one device has."""
        if _DEVICE.fullmatch(named):
            return named
        found = self.get("/devices", text=named[:100], limit=4)["items"]
        exact = [device for device in found if named in (device["name"], device["id"])]
        chosen: Sequence[Mapping[str, Any]] = exact if len(exact) == 1 else found
        if not chosen:
            raise Refused(f"No device is named {named!r}; `bastide device list` shows those that there are.")
        if len(chosen) > 1:
            some = ", ".join(f"{device['id']} ({device['name'] or device['device_class']})" for device in chosen[:3])
            raise Refused(f"{named!r} could be several devices: {some}…; name one by its id.")
        return str(chosen[0]["id"])

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        response = self._send(method, path, body)
        content = self._read(response)
        if response.status >= 400:
            raise _refusal(response.status, content)
        if not content:
            return None
        try:
            return json.loads(content)
        except ValueError as error:
            raise Unavailable(f"What answers at {self._settings.url} is not a Bastide.") from error

    def _send(self, method: str, path: str, body: Any) -> http.client.HTTPResponse:
        headers = {"Authorization": f"Bearer {self._settings.token}", "Accept": "application/json"}
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        try:
            self._connection.request(method, PREFIX + path, content, headers)
            return self._connection.getresponse()
        except ssl.SSLCertVerificationError as error:
            raise Unavailable(
                f"The certificate of {self._settings.url} is not of this Bastide's root ({error.verify_message}); is the "
                "data directory that of the Bastide that runs there?"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise self._out_of_reach(error) from error

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        try:
            content = response.read(MAX_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise self._out_of_reach(error) from error
        if len(content) > MAX_ANSWER_BYTES:
            raise Unavailable(f"The answer of {self._settings.url} is longer than {MAX_ANSWER_BYTES >> 20} MiB.")
        return content

    def _out_of_reach(self, error: Exception) -> Unavailable:
        why = (
            "it took too long"
            if isinstance(error, TimeoutError | socket.timeout)
            else str(error) or type(error).__name__
        )
        return Unavailable(
            f"Bastide does not answer at {self._settings.url} ({why}): start it with `bastide up`, or set BASTIDE_URL."
        )


def connect(data: str = "") -> Client:
    """A client of the Bastide that the environment names, or that runs on the data directory."""
    return Client(client_settings(data))


def segment(text: str) -> str:
    """A text as one segment of a path."""
    return quote(text, safe="")


def _refusal(status: int, content: bytes) -> Answered:
    try:
        told = json.loads(content)
        sentence, code = str(told["detail"]), str(told["code"])
    except (ValueError, KeyError, TypeError):
        sentence, code = f"Bastide answered {status} without saying why; see the controller's log.", "api:refused"
    return Answered(sentence, status, code)
