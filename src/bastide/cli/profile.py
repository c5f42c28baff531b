"""``bastide profile``: what each kind of device is expected to do."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bastide.cli import JUDGED_BAD, proposals
from bastide.cli.client import connect, segment
from bastide.cli.mud import compile_profile, described, judged_signature, learn_profile, read_mud
from bastide.cli.mud_words import diff, show_file, sign_file
from bastide.cli.output import DATA, JSON, document, printable, table
from bastide.core.error import Unreadable
from bastide.network.profile.document import MAX_DOCUMENT_BYTES, parse_profile
from bastide.network.profile.mud.words import Side

app = typer.Typer(rich_markup_mode=None)
app.command("compile")(compile_profile)
app.command("learn")(learn_profile)
app.command("diff")(diff)
app.command("sign")(sign_file)
for _act in (
    proposals.lesson,
    proposals.proposals,
    proposals.propose,
    proposals.fetch,
    proposals.end,
    proposals.approve,
    proposals.decline,
):
    app.command()(_act)


@app.command("list")
def list_profiles(json: JSON = False, data: DATA = "") -> None:
    """List the profiles and the class that each describes."""
    with connect(data) as api:
        found = api.get("/profiles")["items"]
    if json:
        document(found)
        return
    rows = [(one["name"], one["device_class"], one["title"], len(one["channels"])) for one in found]
    table(("NAME", "CLASS", "TITLE", "CHANNELS"), rows, empty="There are no profiles yet.")


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A profile's name, or a MUD file (RFC 8520).")],
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Show what a profile's devices may say and hear; of a MUD file, whom they may speak to, in words."""
    if "/" in name or Path(name).is_file():
        show_file(Path(name), json)
        return
    with connect(data) as api:
        found = api.get(f"/profiles/{segment(name)}")
    if json:
        document(found)
        return
    typer.echo(printable(f"{found['title']} ({found['name']}, class {found['device_class']})"))
    typer.echo(
        f"  {found['rate_per_second']:g} messages/s, {found['burst']} at once, {found['max_payload_bytes']:g} bytes each"
    )
    for channel in found["channels"]:
        essential = ", also while restricted" if channel["essential"] else ""
        typer.echo(printable(f"  {channel['direction']} {channel['topic']}: {channel['purpose']}{essential}"))
        for field in channel["fields"]:
            typer.echo(printable(f"    {field['name']} ({field['type']}): {field['purpose']}"))


@app.command()
def put(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A profile document (TOML), see docs/broker.md.")],
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Store a profile. Devices of its class get new plans at once; their sessions keep what did not change."""
    text = _read(file)
    parse_profile(text)  # what is wrong with the document is said before anything is sent
    with connect(data) as api:
        stored: dict[str, Any] = api.post("/profiles", {"document": text})
    if json:
        document(stored)
    else:
        typer.echo(printable(f"Profile {stored['name']} is stored; it describes the class {stored['device_class']}."))


@app.command()
def reach(
    name: str,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="A MUD file (RFC 8520); without it the one in force is printed."),
    ] = None,
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Print or store the network part of a profile: a MUD file that gateways hold its devices to."""
    if file is not None:
        read_mud(file)  # what is wrong with it is said before anything is sent
    with connect(data) as api:
        if file is None:
            kept = api.get(f"/profiles/{segment(name)}/reach")
        else:
            kept = api.put(f"/profiles/{segment(name)}/reach", {"document": file.read_text()})
    if json:
        document(kept)
    elif file is None:
        typer.echo(printable(kept["document"]))
    else:
        typer.echo(printable(f"Gateways hold devices of the profile {name} to {file} within seconds."))


@app.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A MUD file (RFC 8520), see docs/profiles.md.")],
    signature: Annotated[
        Path | None, typer.Option("--signature", help="Its detached CMS signature (DER, RFC 8520 section 13).")
    ] = None,
    anchors: Annotated[
        Path | None, typer.Option("--anchors", help="Certificates (PEM) of the makers' CAs that you trust.")
    ] = None,
    json: JSON = False,
) -> int:
    """Check a MUD file: what it allows, and which dialects it speaks. A refused one says why, with status 2; an
    accepted one whose signature does not hold ends with status 1."""
    reading = read_mud(file)
    found = described(reading)
    signed = judged_signature(file, signature, anchors)
    if signed is not None:
        ends = signed.ends.isoformat() if signed.ends else None
        found["signature"] = {
            "state": signed.state.value, "sentence": signed.sentence, "signer": signed.signer, "ends": ends,
        }  # fmt: skip
    status = 0 if signed is None or signed.holds else JUDGED_BAD
    if json:
        document(found)
        return status
    typer.echo(printable(f"{file}: accepted. {reading.file.systeminfo or reading.file.url}"))
    for side in Side:
        typer.echo(f"  {found[side.value]['entries']} entries {side.value} in {found[side.value]['lists']} lists")
    if "channels" in found:
        typer.echo(f"  {found['channels']} channels at the broker")
    if not reading.file.is_supported:
        typer.echo("  its maker no longer supports it")
    for note in reading.notes:
        times = f" ({note.count} times)" if note.count > 1 else ""
        typer.echo(printable(f"  note {note.code}: {note.sentence}{times}"))
    if signed is not None:
        typer.echo(printable(f"  signature {signed.state.value}: {signed.sentence}"))
    return status


def _read(file: Path) -> str:
    with file.open("rb") as opened:
        content = opened.read(MAX_DOCUMENT_BYTES + 1)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise Unreadable(f"{file} is not UTF-8 text.") from error
