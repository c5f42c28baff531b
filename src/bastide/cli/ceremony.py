"""``bastide ceremony``: what is done with the root's key, by people, with its shares.

Nothing here speaks to a running Bastide: it may be done on a machine that is on no network. What goes in is a request, what comes
out are certificates, and a record of who did what to which keys.
"""

import platform
import secrets
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key

from bastide.cli.files import read_file, read_text
from bastide.cli.output import JSON, document, facts
from bastide.cli.wiring import root_in_token
from bastide.core.duration import parse_duration
from bastide.core.error import Conflict, Refused, Unreadable
from bastide.core.shares import Share, join, read_share
from bastide.device.identity.ceremony import ENTROPY_BYTES, next_issuing, next_root
from bastide.device.identity.certificate import Issuer, to_pem
from bastide.signer.files import write_whole
from bastide.signer.offline import write_shares

MAX_SHARE_BYTES = 4096
MAX_REQUEST_BYTES = 16_384

app = typer.Typer(rich_markup_mode=None)


@app.callback()
def ceremony() -> None:
    """The root's key: its shares checked, and the next CA and the next root signed with it."""


@app.command("check")
def check(
    shares: Annotated[list[Path], typer.Argument(help="Files with one share each, as many as are needed.")],
    root: Annotated[Path, typer.Option(help="The root's certificate, trust/root.pem.")],
    json: JSON = False,
) -> None:
    """Check that shares make the root's key. Nothing is written, and the key is not shown."""
    read = [_share(path) for path in shares]
    certificate = _joined(read, _roots(root)).certificate
    told = {
        "root": certificate.subject.rfc4514_string(),
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
        "shares": ", ".join(str(one.number) for one in read),
        "needed": str(read[0].needed),
        "verdict": "the shares make the root's key",
    }
    document(told) if json else facts(told)


@app.command("sign")
def sign(
    request: Annotated[Path, typer.Argument(metavar="REQUEST.pem", help="What `bastide authority request` wrote.")],
    root: Annotated[Path, typer.Option(help="The root's certificate, trust/root.pem.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the certificates go, for `authority install`.")],
    shares: Annotated[list[Path] | None, typer.Argument(help="Files with one share each.")] = None,
    new_root: Annotated[
        Path | None, typer.Option(help="Make the next root, too; its shares and certificate go into this new folder.")
    ] = None,
    use_in: Annotated[str, typer.Option(help="When the new CA comes into use, e.g. 10m, 30d.")] = "10m",
    witness: Annotated[list[str] | None, typer.Option(help="Who is there; may be given more than once.")] = None,
    pkcs11_module: Annotated[Path | None, typer.Option(help="The root is in a token: its module.")] = None,
    pkcs11_token: Annotated[str, typer.Option(help="The token's label.")] = "",
    pkcs11_pin_file: Annotated[Path | None, typer.Option(help="A file with the token's PIN.")] = None,
    json: JSON = False,
) -> None:
    """Sign the next issuing CA with the root's key, from its shares; with --new-root, make the next root first."""
    csr = _request(request)
    now = datetime.now(UTC)
    used_from = now + parse_duration(use_in)
    for path in (output, record := output.with_suffix(".txt")):
        if path.exists():
            raise Conflict(f"{path} is there already; a ceremony does not write over the outcome of another.")
    if new_root is not None and new_root.exists():
        raise Conflict(f"{new_root} is there already; name a new folder for the next root's shares.")
    read = [_share(path) for path in shares or ()]
    if pkcs11_module is not None:
        held = _in_token(pkcs11_module, pkcs11_token, pkcs11_pin_file, _roots(root))
    else:
        held = _joined(read, _roots(root))
    entropy, made, by = secrets.token_bytes(ENTROPY_BYTES), list[x509.Certificate](), held
    if new_root is not None:
        by, links = next_root(held, ec.generate_private_key(ec.SECP384R1()), now, entropy)
        made = [by.certificate, *links]
        write_shares(by.key, by.certificate, new_root)
        write_whole(new_root / "root.pem", by.certificate.public_bytes(Encoding.PEM), 0o644)
    issuing = next_issuing(csr, by, used_from, entropy)
    write_whole(output, to_pem([issuing, *made]), 0o644)
    told = {
        "at": now.isoformat(timespec="seconds"),
        "on": platform.node(),
        "witnesses": ", ".join(witness or ()) or "none named",
        "request": f"{request}, sha256 {sha256(csr).hexdigest()}",
        "root": _described(held.certificate),
        "by": f"shares {', '.join(str(one.number) for one in read)}" if read else f"the token {pkcs11_token}",
        "next root": _described(by.certificate) if made else "unchanged",
        "issuing CA": _described(issuing),
        "in use from": used_from.isoformat(timespec="seconds"),
        "outcome": f"{output}, sha256 {sha256(output.read_bytes()).hexdigest()}",
    }
    write_whole(record, "".join(f"{name}: {value}\n" for name, value in told.items()).encode(), 0o644)
    if json:
        document(told)
        return
    facts(told)
    typer.echo(
        f"\nThe record of this ceremony is {record}: print it and have it signed. Then `bastide authority install {output}`."
    )
    if new_root is not None:
        typer.echo(
            f"The next root's shares are in {new_root}: each to a place of its own. Keep the old root's until it has ended."
        )


def _request(path: Path) -> bytes:
    try:
        return x509.load_pem_x509_csr(read_file(path, MAX_REQUEST_BYTES, "request")).public_bytes(Encoding.DER)
    except ValueError as error:
        raise Unreadable(f"{path} is not a PKCS#10 request in PEM: {error}.", code="ceremony:request") from error


def _roots(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise Unreadable(f"{path} is not a certificate that can be read: {error}.", code="ceremony:root") from error


def _joined(shares: list[Share], roots: list[x509.Certificate]) -> Issuer:
    """The root whose key the shares make; ``Refused`` where it is none of these."""
    if not shares:
        raise Refused("Name the files with the shares of the root's key, as many as are needed.", code="shares:few")
    try:
        key = load_der_private_key(join(shares), None)
    except (ValueError, TypeError):
        key = None
    for root in roots:
        if isinstance(key, ec.EllipticCurvePrivateKey) and key.public_key() == root.public_key():
            return Issuer(root, key)
    raise Refused(
        f"The shares {', '.join(str(one.number) for one in shares)} do not make the key of the root: one of them was changed, or "
        "they are of another root. Try others.",
        code="ceremony:shares:wrong",
    )


def _in_token(module: Path, token: str, pin_file: Path | None, roots: list[x509.Certificate]) -> Issuer:
    """The root whose key is in a token, with the platform's others."""
    if pin_file is None:
        raise Refused("Name the file with the token's PIN: --pkcs11-pin-file.", code="ceremony:pin")
    key = root_in_token(module, token, read_text(pin_file, MAX_SHARE_BYTES, "PIN").strip())
    for root in roots:
        if key is not None and key.public_key() == root.public_key():
            return Issuer(root, key)
    raise Refused(f"The root's key in the token {token} is not that of the root named.", code="ceremony:token")


def _described(certificate: x509.Certificate) -> str:
    return f"{certificate.subject.rfc4514_string()}, sha256 {certificate.fingerprint(hashes.SHA256()).hex()}"


def _share(path: Path) -> Share:
    try:
        with path.open("rb") as file:
            return read_share(file.read(MAX_SHARE_BYTES).decode())
    except (OSError, UnicodeDecodeError) as error:
        raise Unreadable(f"{path} cannot be read: {error}.", code="ceremony:share") from error
