"""``bastide ledger``: what was done, by whom and why, as it is recorded. ``bastide audit`` checks it."""

from typing import Annotated

import typer

from bastide.cli.client import connect, segment
from bastide.cli.output import DATA, JSON, ago, document, facts, printable, table

app = typer.Typer(rich_markup_mode=None)


@app.command("list")
def list_records(
    kind: Annotated[str, typer.Option("--kind", help="Only kinds that begin so, such as operator:device.")] = "",
    most: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 50,
    json: JSON = False,
    data: DATA = "",
) -> None:
    """List the newest records."""
    with connect(data) as api:
        found = list(api.pages("/ledger/records", most=most, kind=kind))
    if json:
        document(found)
        return
    rows = [(one["id"], ago(one["at"]), one["kind"], one["subject"], one["actor"]) for one in found]
    table(("ID", "WHEN", "KIND", "SUBJECT", "ACTOR"), rows, empty="There are no such records.")


@app.command()
def show(
    record: Annotated[str, typer.Argument(metavar="RECORD", help="Its id, r-…")], json: JSON = False, data: DATA = ""
) -> None:
    """Show one record."""
    with connect(data) as api:
        found = api.get(f"/ledger/records/{segment(record)}")
    if json:
        document(found)
        return
    facts({name: found[name] for name in ("id", "kind", "subject", "actor", "at", "version")})
    for name, value in found["body"].items():
        typer.echo(printable(f"  {name} = {value}"))


@app.command()
def checkpoint(json: JSON = False, data: DATA = "") -> None:
    """Print the newest signed tree head, in the form that other tools check (C2SP signed note)."""
    with connect(data) as api:
        found = api.get("/ledger/checkpoint")
    if json:
        document(found)
    else:
        typer.echo(found["note"], nl=False)
