"""``bastide ceremony``: what is done with the root's key, by people, with its shares."""

from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import load_der_private_key

from bastide.cli.output import JSON, document, facts
from bastide.core.error import Refused, Unreadable
from bastide.core.shares import Share, join, read_share

MAX_SHARE_BYTES = 4096

app = typer.Typer(rich_markup_mode=None)


@app.callback()
def ceremony() -> None:
    """The root's key: its shares, checked before they are needed."""


@app.command("check")
def check(
    shares: Annotated[list[Path], typer.Argument(help="Files with one share each, as many as are needed.")],
    root: Annotated[Path, typer.Option(help="The root's certificate, trust/root.pem.")],
    json: JSON = False,
) -> None:
    """Check that shares make the root's key. Nothing is written, and the key is not shown."""
    read = [_share(path) for path in shares]
    try:
        certificate = x509.load_pem_x509_certificate(root.read_bytes())
    except (OSError, ValueError) as error:
        raise Unreadable(f"{root} is not a certificate that can be read: {error}.", code="ceremony:root") from error
    secret = join(read)
    try:
        fits = load_der_private_key(secret, None).public_key() == certificate.public_key()
    except (ValueError, TypeError):
        fits = False
    if not fits:
        raise Refused(
            f"The shares {', '.join(str(one.number) for one in read)} do not make the key of {root}: one of them was changed, or "
            "they are of another root. Try others.",
            code="ceremony:shares:wrong",
        )
    told = {
        "root": certificate.subject.rfc4514_string(),
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
        "shares": ", ".join(str(one.number) for one in read),
        "needed": str(read[0].needed),
        "verdict": "the shares make the root's key",
    }
    document(told) if json else facts(told)


def _share(path: Path) -> Share:
    try:
        with path.open("rb") as file:
            return read_share(file.read(MAX_SHARE_BYTES).decode())
    except (OSError, UnicodeDecodeError) as error:
        raise Unreadable(f"{path} cannot be read: {error}.", code="ceremony:share") from error
