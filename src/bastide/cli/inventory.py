"""``bastide inventory``: search, take out and bring in, merge and split."""

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from bastide.cli.client import connect
from bastide.cli.files import read_text
from bastide.cli.output import DATA, JSON, ago, document, facts, printable, table
from bastide.core.error import Refused

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

MAX_SHEET = 4 * 1024 * 1024
DEVICE = Annotated[str, typer.Argument(metavar="DEVICE", help="Its id, or a part of id or name that only one has.")]
REASON = Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept with the act.")]


@app.command("search")
def search(
    query: Annotated[list[str] | None, typer.Argument(metavar="[TERM]...", help="Words and name:value terms.")] = None,
    most: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 1000,
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Find devices as you type: bastide inventory search philips firmware:1.9 conflict:"""
    with connect(data) as api:
        found = list(api.pages("/inventory", most=most, query=shlex.join(query or [])))
    if json:
        document(found)
        return
    rows = [
        (
            one["device"]["id"],
            one["row"]["name"] or "-",
            one["row"]["type"] or one["row"]["model"] or "-",
            one["row"]["vendor"] or "-",
            one["row"]["firmware"] or "-",
            one["row"]["site"],
            one["row"]["standing"],
            ", ".join(each["name"] for each in one["conflicts"]) or "-",
            ago(one["device"]["last_seen"]),
        )
        for one in found
    ]
    columns = ("ID", "NAME", "TYPE", "MAKER", "FIRMWARE", "SITE", "STANDING", "CONFLICTS", "LAST SEEN")
    table(columns, rows, empty="No device matches. `bastide scan CAPTURE --submit` fills the inventory.")


@app.command("show")
def show(device: DEVICE, json: JSON = False, data: DATA = "") -> None:
    """Show everything that is stated of a device, by whom and when, and what contradicts what."""
    with connect(data) as api:
        one = api.get(f"/inventory/{api.device(device)}")
    if json:
        document(one)
        return
    facts({name: value for name, value in one["row"].items() if value})
    typer.echo()
    rows = [
        (each["name"], each["value"], each["source"], f"{each['confidence'] * 100:.0f} %", ago(each["observed_at"]))
        for each in one["device"]["attributes"]
    ]
    table(("WHAT", "VALUE", "WHO SAYS SO", "SURE", "WHEN"), rows, empty="Nothing is stated of it yet.")
    for conflict in one["conflicts"]:
        said = " against ".join(f"{each['value']} ({each['source']})" for each in conflict["values"])
        typer.echo(printable(f"They disagree on {conflict['name']}: {said}."))
    if one["keys"]:
        typer.echo(printable(f"It is known again by {', '.join(one['keys'])}."))


@app.command("export")
def export(
    out: Annotated[Path | None, typer.Option(help="The file to write; standard output without it.")] = None,
    query: Annotated[str, typer.Option(help="Only devices that match.")] = "",
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Take the inventory out as CSV (with --json as JSON), in the form that `import` reads."""
    from json import dumps

    from bastide.operations.inventory.sheet import csv_lines

    with connect(data) as api:
        rows = [one["row"] for one in api.pages("/inventory", query=query)]
    text = dumps({"devices": rows}, indent=2, ensure_ascii=False) + "\n" if json else "".join(csv_lines(rows))
    if out is None:
        sys.stdout.write(text)
        return
    aside = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        aside.write_text(text, encoding="utf-8", newline="")
        aside.replace(out)
    finally:
        aside.unlink(missing_ok=True)
    typer.echo(f"{len(rows)} devices are in {out}.")


@app.command("import")
def bring_in(
    sheet: Annotated[Path, typer.Argument(help="CSV or JSON with the columns of an export.", metavar="FILE")],
    source: Annotated[str, typer.Option(help="Who says so; the file's name without it.")] = "",
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Bring in a list that you keep: devices that are expected, owners, sites, support dates."""
    import re

    named = source or re.sub(r"[^A-Za-z0-9._-]", "-", sheet.name).lstrip("._-")[:80] or "list"
    text = read_text(sheet, MAX_SHEET, "inventory")
    with connect(data) as api:
        told = api.post("/inventory/import", {"source": named, "text": text})
    if json:
        document(told)
        return
    typer.echo(f"{len(told['new'])} devices are new, {len(told['changed'])} changed, {told['same']} were so already.")


@app.command("merge")
def merge(device: DEVICE, other: DEVICE, reason: REASON, json: JSON = False, data: DATA = "") -> None:
    """Say that OTHER, which was only seen, is DEVICE."""
    with connect(data) as api:
        told = api.post(f"/inventory/{api.device(device)}/merge", {"other": api.device(other), "reason": reason})
    if json:
        document(told)
        return
    typer.echo(printable(f"{told['device']['id']} is now known again by {', '.join(told['keys'])}."))


@app.command("split")
def split(
    device: DEVICE,
    key: Annotated[str, typer.Argument(help="One of its keys, or a MAC address.")],
    reason: REASON,
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Take an address away from a device: what is seen under it is a device of its own again."""
    told_key = key if key.startswith(("mac:", "name:")) else f"mac:{key.lower().replace('-', ':')}"
    with connect(data) as api:
        told = api.post(f"/inventory/{api.device(device)}/split", {"key": told_key, "reason": reason})
    if json:
        document(told)
        return
    typer.echo(printable(f"{told_key} is {told['device']['id']}, a device of its own."))


@app.command("describe")
def describe(
    device: DEVICE,
    stated: Annotated[
        list[str], typer.Argument(metavar="NAME=VALUE...", help="E.g. owner=facilities support-ends=2027-06.")
    ],
    json: JSON = False,
    data: DATA = "",
) -> None:
    """State what you know of a device; an empty value takes a statement back."""
    body: dict[str, object] = {}
    told: dict[str, str] = {}
    for one in stated:
        name, equals, value = one.partition("=")
        if not equals:
            raise Refused(f"{one!r} states nothing; write NAME=VALUE, such as owner=facilities.")
        if name in ("name", "owner", "site", "zone"):
            body[name] = value
        else:
            told[name] = value
    with connect(data) as api:
        shown = api.patch(f"/inventory/{api.device(device)}", body | {"facts": told})
    if json:
        document(shown)
        return
    facts({name: value for name, value in shown["row"].items() if value})
