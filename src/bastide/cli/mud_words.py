"""``bastide profile show FILE``, ``diff`` and ``sign``: a MUD file in words, what a new one changes, and its signature."""

from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bastide.cli import JUDGED_BAD
from bastide.cli.mud import bounded, read_mud
from bastide.cli.output import JSON, document, printable
from bastide.core.error import Refused
from bastide.network.profile.change import change
from bastide.network.profile.mud.signature import sign
from bastide.network.profile.mud.strictjson import MAX_BYTES
from bastide.network.profile.plain import Sentence, by_peer, channel_sentences, sentences

_MAX_PEM_BYTES = 256 * 1024


def show_file(file: Path, json: bool) -> None:
    """Prints whom the devices of a profile may speak to, a line for each peer and service."""
    reading = read_mud(file)
    said = sentences(reading.file)
    if json:
        told = {"mud_url": reading.file.url, "sentences": [described(one) for one in said]}
        document(told | {"channels": list(channel_sentences(reading.file))})
        return
    typer.echo(printable(reading.file.systeminfo or reading.file.url))
    for peer, many in by_peer(said).items():
        typer.echo(printable(f"  {peer}"))
        for one in many:
            typer.echo(printable(f"    {one}"))
    for sentence in channel_sentences(reading.file):
        typer.echo(printable(f"  {sentence}"))
    if not said:
        typer.echo("  It permits nothing but what RFC 8520 permits to every device (local DNS and NTP).")


def diff(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="A MUD file (RFC 8520).")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="The one that takes its place.")],
    json: JSON = False,
) -> int:
    """What a new MUD file permits more and what it takes away, in words. Status 1 where they differ."""
    found = change(read_mud(before).file, read_mud(after).file)
    if json:
        document(
            {
                "more": [described(one) for one in found.more],
                "less": [described(one) for one in found.less],
                "more_said": list(found.more_said),
                "less_said": list(found.less_said),
                "facts": [{"name": name, "before": old, "after": new} for name, old, new in found.facts],
            }
        )
        return JUDGED_BAD if found else 0
    for name, old, new in found.facts:
        typer.echo(printable(f"  {name}: {old or '(nothing)'} -> {new or '(nothing)'}"))
    for one in found.all_less:
        typer.echo(printable(f"- {one}"))
    for one in found.all_more:
        typer.echo(printable(f"+ {one}"))
    if not found:
        typer.echo("Both permit the same.")
    return JUDGED_BAD if found else 0


def sign_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The MUD file (RFC 8520).")],
    key: Annotated[Path, typer.Option("--key", help="The signer's private key (PEM, without a password).")],
    certificates: Annotated[
        Path, typer.Option("--certificates", help="The signer's certificate, then its issuers (PEM).")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the signature is written (DER).")],
) -> None:
    """Sign a MUD file: a detached CMS signature (RFC 8520, section 13)."""
    content = bounded(file, MAX_BYTES)
    read_mud(file)  # what would be refused is not signed
    try:
        secret = load_pem_private_key(bounded(key, _MAX_PEM_BYTES), None)
        chain = x509.load_pem_x509_certificates(bounded(certificates, _MAX_PEM_BYTES))
    except (ValueError, TypeError) as error:
        raise Refused(f"Key or certificates cannot be read as PEM without a password: {error}.") from error
    made = sign(content, secret, chain)
    try:
        out.write_bytes(made)
    except OSError as error:
        raise Refused(f"{out} cannot be written: {error.strerror}.") from error
    typer.echo(printable(f"{out}: signed by {chain[0].subject.rfc4514_string()}"))


def described(one: Sentence) -> dict[str, Any]:
    return {
        "sentence": str(one),
        "peer": one.peer,
        "service": one.service,
        "opened_by": [side.value for side in one.opened_by],
        "permitted": one.permitted,
        "entries": list(one.entries),
    }
