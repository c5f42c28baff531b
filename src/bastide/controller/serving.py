"""TLS listeners: one uvicorn server for each port, whose certificate can be renewed while it serves."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from bastide.controller.endpoints.peer import hear_refusals

# A slow or silent client is let go; a device on a bad link still gets its certificate.
KEEP_ALIVE_S = 30
BACKLOG = 2048
SHUTDOWN_PATIENCE_S = 3


@dataclass(frozen=True, slots=True)
class Leaf:
    """A server certificate with its chain, and its key, as PEM files."""

    certificate: Path
    key: Path


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers: the process has one place that hears signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Listener:
    """Serves one ASGI app over TLS. ``client_ca`` asks clients for a certificate of that CA, without requiring one; ``refused``
    hears why one that was shown does not verify."""

    def __init__(
        self,
        app: Any,
        host: str,
        port: int,
        leaf: Leaf,
        *,
        protocol: Any = "httptools",
        client_ca: Path | None = None,
        refused: Callable[[str], None] | None = None,
    ) -> None:
        self._leaf = leaf
        self._config = uvicorn.Config(
            app,
            host=host,
            port=port,
            http=protocol,
            ws="none",
            lifespan="off",
            loop="none",
            ssl_certfile=leaf.certificate,
            ssl_keyfile=leaf.key,
            ssl_ca_certs=None if client_ca is None else str(client_ca),
            ssl_cert_reqs=ssl.CERT_NONE if client_ca is None else ssl.CERT_OPTIONAL,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=SHUTDOWN_PATIENCE_S,
            backlog=BACKLOG,
            proxy_headers=False,
        )
        self._config.load()
        if self._config.ssl is not None:
            self._config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
            # A vendor may name the CA that signs its devices, and keep its root to itself.
            self._config.ssl.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            if refused is not None:
                hear_refusals(self._config.ssl, refused)
        self._server = _Server(self._config)

    @property
    def serving(self) -> bool:
        return self._server.started

    async def run(self) -> None:
        """Serves until cancelled or stopped."""
        await self._server.serve()

    def stop(self) -> None:
        self._server.should_exit = True

    def trust(self, authorities: str) -> None:
        """New connections may show certificates of these CAs (PEM), too, until the process ends."""
        if self._config.ssl is not None:
            self._config.ssl.load_verify_locations(cadata=authorities)

    def renew(self) -> None:
        """New connections get the certificate that the files hold now."""
        if self._config.ssl is not None:
            self._config.ssl.load_cert_chain(self._leaf.certificate, self._leaf.key)
