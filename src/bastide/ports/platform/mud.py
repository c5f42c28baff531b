"""Where makers publish their MUD files (RFC 8520, section 3): fetched over HTTPS, never trusted for that alone."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Fetched:
    """The octets of a file, and of the signature that it names; ``signature`` is None where it names none.

    ``missing`` says why a signature that is named could not be had, else it is empty."""

    document: bytes
    signature: bytes | None = None
    missing: str = ""


class MUDFiles(Protocol):
    async def fetch(self, url: str) -> Fetched:
        """``Refused`` (``mud:fetch:…``) for a URL that is not fetched: no https, a host in our own networks, too long an
        answer; ``Unavailable`` where the host does not answer as it should."""
        ...
