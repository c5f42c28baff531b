"""A connection of the platform's own to nats-server: TLS from the first byte, an nkey, and reconnecting for ever."""

import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nats.aio.client import Client
from nats.errors import Error as NATSError

from bastide.adapters.nats.seeds import Part, load_seed, public_key
from bastide.core.error import Unavailable

CONNECT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the broker is, whose certificate it must show, and the folder with our seeds."""

    url: str
    authority: Path
    seeds: Path

    def context(self) -> ssl.SSLContext:
        """TLS towards the broker: its certificate must be the root's, and for its host name."""
        return ssl.create_default_context(cafile=str(self.authority))

    def key(self, part: Part) -> Ed25519PrivateKey:
        return load_seed(self.seeds, part)


class _Client(Client):
    """nats-py signs with the package ``nkeys``, which has no wheel; signing is one call of ``cryptography``."""

    def prove_with(self, key: Ed25519PrivateKey) -> None:
        self._public_nkey = public_key(key)
        self._auth_configured = True


async def connect(cluster: Cluster, part: Part, *, on_reconnect: Callable[[], Awaitable[None]] | None = None) -> Client:
    """A connection in the name of a part. It reconnects by itself; ``Unavailable`` where the first try fails."""
    return await connect_as(
        cluster.url, cluster.context(), cluster.key(part), f"bastide-{part}", on_reconnect=on_reconnect
    )


async def connect_as(
    url: str,
    context: ssl.SSLContext,
    key: Ed25519PrivateKey,
    name: str,
    *,
    inbox: str = "_INBOX",
    on_reconnect: Callable[[], Awaitable[None]] | None = None,
) -> Client:
    """A connection that proves a key. ``inbox`` is where answers to it come, which nobody else may listen to."""
    client = _Client()
    client.prove_with(key)

    async def quiet(error: Exception) -> None:
        """Errors of a connection that is being repaired show in the calls that need it."""

    try:
        await client.connect(
            url,
            name=name,
            tls=context,
            inbox_prefix=inbox,
            tls_handshake_first=True,
            connect_timeout=CONNECT_SECONDS,
            reconnect_time_wait=0.1,  # type: ignore[arg-type]  # it only sleeps for it
            max_reconnect_attempts=-1,
            allow_reconnect=True,
            error_cb=quiet,
            reconnected_cb=on_reconnect,
            pending_size=64 * 1024 * 1024,
            signature_cb=lambda nonce: b64encode(key.sign(nonce.encode())),
        )
    except (NATSError, OSError, ssl.SSLError, TimeoutError) as error:
        await client.close()
        raise Unavailable(
            f"The broker at {url} does not answer: {error or type(error).__name__}. See nats/server.log.",
            code="nats:unavailable",
        ) from error
    return client
