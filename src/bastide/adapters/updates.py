"""A device's side of updates: one report over its certificate, one answer (device.release.report), and what it remembers."""

import http.client
import json
import os
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bastide.core.error import Refused, Unavailable, Unreadable
from bastide.device.release.report import MAX_REPORT_BYTES, Report, Told, read_told, report_octets

TIMEOUT_S = 30


def device_tls(trust: Path, identity: Path) -> ssl.SSLContext:
    """TLS by the device's certificate (one PEM file with key and certificates)."""
    try:
        context = ssl.create_default_context(cafile=str(trust))
        context.load_cert_chain(identity)
    except (OSError, ssl.SSLError) as error:
        raise Unreadable(f"The device's certificate cannot be loaded: {error}.", code="update:files") from error
    return context


@dataclass(frozen=True, slots=True)
class UpdateServer:
    """Where a device asks."""

    host: str
    port: int

    def ask(self, report: Report, tls: ssl.SSLContext) -> Told:
        """``Refused`` carries the server's sentence, ``Unavailable`` says that it does not answer."""
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=TIMEOUT_S, context=tls)
        try:
            connection.request("POST", "/v1/update", report_octets(report), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read(MAX_REPORT_BYTES + 1)
        except (OSError, http.client.HTTPException) as broken:
            raise Unavailable(f"{self.host}:{self.port} does not answer: {broken}", code="update:away") from broken
        finally:
            connection.close()
        if answer.status == 200:
            return read_told(content)
        said = content.decode(errors="replace").strip()[:500] or answer.reason
        if answer.status >= 500 or answer.status == 429:
            raise Unavailable(f"{self.host}:{self.port} asks to come back later ({answer.status}): {said}")
        raise Refused(f"The report was refused ({answer.status}): {said}", code=f"update:{answer.status}")


@dataclass(frozen=True, slots=True)
class JSONFile:
    """One JSON object in a file that is replaced whole, and is there to stay when ``write`` returned."""

    path: Path

    def read(self) -> dict[str, Any]:
        """Empty where there is none, or it cannot be read: what it said is then as if it had never been said."""
        with suppress(OSError, ValueError):
            told = json.loads(self.path.read_text())
            if isinstance(told, dict):
                return told
        return {}

    def write(self, told: Mapping[str, Any]) -> None:
        aside = self.path.with_name(f"{self.path.name}.new")
        try:
            with aside.open("w") as made:
                json.dump(told, made)
                made.flush()
                os.fsync(made.fileno())
            aside.replace(self.path)
        except OSError as error:
            raise Unavailable(f"{self.path} cannot be written: {error.strerror}.", code="update:memory") from error
