"""The device's certificate from the TLS layer, by the names of the ASGI TLS extension.

No ASGI server shows the peer's certificate. uvicorn's httptools protocol makes the request's scope in ``on_message_begin``;
this subclass adds to it what the TLS object knows. The certificate there is verified: the listener's context trusts our CA
and the vendors that were named, so a foreign certificate ends in the handshake, and its sender learns no
reason but the alert. Python's ``ssl`` has no verify callback, but its objects may be subclassed: that is how we hear of it
(:func:`hear_refusals`).
"""

import ssl
from asyncio import Transport
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bastide.device.identity.chain import MAX_CHAIN

# ``_ssl.ENCODING_DER``: the module has no public name for it.
_DER = 2


class PeerCertificateProtocol(HttpToolsProtocol):
    """Hand it to uvicorn as ``http``; the scope then has ``extensions["tls"]``."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._tls = _tls(transport.get_extra_info("ssl_object"))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {"tls": self._tls}


def peer_certificate(scope: Any) -> bytes | None:
    """The client's verified certificate (DER) of a request's scope; None where it showed none."""
    chain = peer_chain(scope)
    return chain[0] if chain else None


def peer_chain(scope: Any) -> tuple[bytes, ...]:
    """The certificates that the client showed (DER), its own first; empty where it showed none."""
    chain = scope.get("extensions", {}).get("tls", {}).get("client_cert_chain", ())
    return tuple(ssl.PEM_cert_to_DER_cert(one) for one in chain)


def hear_refusals(context: ssl.SSLContext, refused: Callable[[str], None]) -> None:
    """Calls ``refused`` on the event loop with OpenSSL's reason for each client certificate that does not verify."""

    class Heard(ssl.SSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except ssl.SSLCertVerificationError as error:
                refused(error.verify_message)
                raise

    context.sslobject_class = Heard


def _shown(connection: Any) -> list[bytes]:
    certificate = connection.getpeercert(binary_form=True)
    if not certificate:
        return []
    # Python 3.13 has the method on its own objects; before, the one inside had it.
    get = getattr(connection, "get_unverified_chain", None) or connection._sslobj.get_unverified_chain
    others = [one if isinstance(one, bytes) else one.public_bytes(_DER) for one in get() or ()]
    return [certificate, *(one for one in others[:MAX_CHAIN] if one != certificate)]


def _tls(connection: Any) -> dict[object, object]:
    if connection is None:
        return {}
    return {
        "tls_version": connection.version(),
        "client_cert_chain": [ssl.DER_cert_to_PEM_cert(one) for one in _shown(connection)],
        "client_cert_error": None,
    }
