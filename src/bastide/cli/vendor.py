"""``bastide vendor``: makers whose devices prove themselves by certificate, and the devices that are expected of them."""

from pathlib import Path
from typing import Annotated

import typer

from bastide.cli.client import connect, segment
from bastide.cli.files import read_text
from bastide.cli.output import DATA, JSON, ago, document, facts, printable, table

app = typer.Typer(rich_markup_mode=None)
MAX_BYTES = 1 << 20
VENDOR = Annotated[str, typer.Argument(metavar="NAME", help="The vendor's name.")]


@app.command()
def add(
    name: VENDOR,
    anchors: Annotated[Path, typer.Argument(metavar="CA.pem", help="The CA certificates that sign its devices'.")],
    unexpected: Annotated[
        str, typer.Option(help="What becomes of its devices that are on no list: ask, or refuse.")
    ] = "ask",
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Name a maker: its devices may enrol with their IEEE 802.1AR certificates, without a claim."""
    pem = read_text(anchors, MAX_BYTES, "vendor's CA certificates")
    with connect(data) as api:
        made = api.put(f"/enrolment/vendors/{segment(name)}", {"anchors": pem, "unexpected": unexpected})
    if json:
        document(made)
        return
    typer.echo(printable(f"{made['name']} is named. Compare what identifies its CA with what the maker says:"))
    facts({f"  {one['subject']}": f"sha256 {one['sha256']}" for one in made["anchors"]})


@app.command("list")
def list_vendors(json: JSON = False, data: DATA = "") -> None:
    """List the makers that were named."""
    with connect(data) as api:
        found = list(api.get("/enrolment/vendors")["items"])
    if json:
        document(found)
        return
    rows = [
        (one["name"], one["unexpected"], "; ".join(each["subject"] for each in one["anchors"]), ago(one["added_at"]))
        for one in found
    ]
    table(
        ("VENDOR", "UNEXPECTED", "CA", "ADDED"),
        rows,
        empty="No vendor is named. `bastide vendor add NAME CA.pem` does.",
    )


@app.command()
def remove(name: VENDOR, data: DATA = "") -> None:
    """Nobody comes in by this maker's certificates any more. Who came in stays."""
    with connect(data) as api:
        api.delete(f"/enrolment/vendors/{segment(name)}")
    typer.echo(printable(f"{name} is no vendor any more."))


@app.command()
def expect(
    name: VENDOR,
    listed: Annotated[
        Path,
        typer.Argument(metavar="LIST.csv", help="Columns serial and class; owner, site and name where they are known."),
    ],
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Put a purchase list on the list of expected devices: all of it, or nothing."""
    text = read_text(listed, MAX_BYTES, "purchase list")
    with connect(data) as api:
        taken = api.post(f"/enrolment/vendors/{segment(name)}/expected", {"list": text})
    document(taken) if json else typer.echo(printable(f"{taken['expected']} devices of {name} are expected."))


@app.command()
def expected(
    missing: Annotated[bool, typer.Option("--missing", help="Only those that have not come.")] = False,
    json: JSON = False,
    data: DATA = "",
) -> None:
    """List expected devices, and what those that came became."""
    with connect(data) as api:
        found = list(api.pages("/enrolment/expected", arrived="false" if missing else None))
    if json:
        document(found)
        return
    rows = [
        (one["vendor"], one["serial"], one["device_class"], one["site"], one["name"], one["device"] or "not here yet")
        for one in found
    ]
    table(
        ("VENDOR", "SERIAL", "CLASS", "SITE", "NAME", "DEVICE"),
        rows,
        empty="No device is expected. `bastide vendor expect NAME LIST.csv` takes a list.",
    )


@app.command("forget")
def forget(
    name: VENDOR,
    serial: Annotated[str, typer.Argument(metavar="SERIAL", help="The serial number on the list.")],
    data: DATA = "",
) -> None:
    """Take a device that has not come from the list."""
    with connect(data) as api:
        api.delete(f"/enrolment/vendors/{segment(name)}/expected/{segment(serial)}")
    typer.echo(printable(f"{serial} of {name} is not expected any more."))
