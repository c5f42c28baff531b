"""The adapters that the agent uses."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bastide.agent.hold import Means, Server
from bastide.core.error import BastideError, Unavailable

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from bastide.adapters.clock import SystemClock
    from bastide.adapters.est.client import Endpoint
    from bastide.adapters.est.folder import Held, IdentityFolder


class Fetching(Protocol):
    """A TUF client (adapters.tuf.client.Client)."""

    def refresh(self) -> None: ...

    def download(self, name: str, base_url: str, folder: Path) -> Path: ...


def trust_root(folder: Path, root: Path) -> int:
    """Makes a root the trusted one; its version."""
    from bastide.adapters.tuf.client import initialise

    return initialise(folder, root)


def fetching(folder: Path, metadata_url: str, now: datetime | None = None) -> Fetching:
    """A client over the trusted metadata in a folder."""
    from bastide.adapters.tuf.client import Client

    return Client(folder, metadata_url, now)


def certified(state: Path, host: str, port: int, trust: Path) -> "tuple[IdentityFolder, Server, SystemClock]":
    """The folder of the device's identity, the server that certifies it, and the clock."""
    from bastide.adapters.clock import SystemClock
    from bastide.adapters.est.folder import IdentityFolder

    identity = IdentityFolder(state)
    return identity, _ESTServer(identity, host, port, trust), SystemClock()


@dataclass(frozen=True, slots=True)
class _ESTServer:
    """Implements agent.hold.Server. ``trust`` is the root that the device was made to trust; what roots of the platform's own
    vouched for since is in the state folder, and trusted from then on."""

    identity: "IdentityFolder"
    host: str
    port: int
    trust: Path

    @property
    def endpoint(self) -> "Endpoint":
        from bastide.adapters.est.client import Endpoint

        kept = self.identity.trust
        return Endpoint(self.host, self.port, kept if kept.exists() else self.trust)

    def enrol(self, means: Means) -> "Held":
        from bastide.adapters.est.client import Claim, enrol

        claim = None
        if means.shown is None and means.claim_file is not None:
            try:
                user, password = means.claim_file.read_text().split()
            except (OSError, ValueError) as error:
                raise Unavailable(
                    f"{means.claim_file} should hold a claim's user name and password, a line each.", code="agent:claim"
                ) from error
            claim = Claim(user, password)
        csr = self.identity.request("new device")
        return self._kept(enrol(self.endpoint, csr, claim=claim, shown=means.shown, label=means.label))

    def renew(self, device: str) -> "Held":
        from bastide.adapters.est.client import renew

        csr = self.identity.request(device)
        return self._kept(renew(self.endpoint, csr, (self.identity.file, self.identity.file)))

    def _kept(self, chain: "list[Certificate]") -> "Held":
        from bastide.adapters.est.client import newer_trust

        held = self.identity.keep(chain)
        with suppress(BastideError):  # it has its certificate; new roots come with the next one
            if newer := newer_trust(self.endpoint):
                self.identity.keep_trust(newer)
        return held
