"""The device's certificate from the TLS layer, by the names of the ASGI TLS extension.

No ASGI server shows the peer's certificate. uvicorn's httptools protocol makes the request's scope in ``on_message_begin``;
this subclass adds to it what the TLS object knows. The certificate there is verified: the listener's context trusts our CA
alone, so a foreign certificate ends in the handshake, and its sender learns no reason but the TLS alert. Python's ``ssl`` has no
verify callback, but its objects may be subclassed: that is how we hear of it (:func:`hear_refusals`).
"""

import ssl
from asyncio import Transport
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


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
    chain = scope.get("extensions", {}).get("tls", {}).get("client_cert_chain", ())
    return ssl.PEM_cert_to_DER_cert(chain[0]) if chain else None


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


def _tls(connection: Any) -> dict[object, object]:
    if connection is None:
        return {}
    certificate = connection.getpeercert(binary_form=True)
    return {
        "tls_version": connection.version(),
        "client_cert_chain": [ssl.DER_cert_to_PEM_cert(certificate)] if certificate else [],
        "client_cert_error": None,
    }
