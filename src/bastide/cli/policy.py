"""``bastide policy``: the rules in force, what others would do, and putting them in force."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bastide.cli import span
from bastide.cli.client import connect
from bastide.cli.output import DATA, JSON, document, printable, table
from bastide.core.error import Refused

app = typer.Typer(rich_markup_mode=None)

FILE = Annotated[str, typer.Argument(metavar="FILE", help="A policy document; - reads standard input.")]
MAX_DOCUMENT_BYTES = 128 * 1024


@app.command()
def show(
    rules: Annotated[bool, typer.Option("--rules", help="A table of the rules instead of the document.")] = False,
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Print the policy in force, as it was applied."""
    with connect(data) as api:
        policy = api.get("/policy")
    if json:
        document(policy)
    elif rules:
        rows = [
            (
                rule["id"],
                rule["kind"],
                rule["at_least"],
                span.told(rule["within_s"]),
                rule["cap"],
                span.told(rule["hold_s"]),
                rule["release"],
            )
            for rule in policy["rules"]
        ]
        table(("RULE", "EVIDENCE", "AT LEAST", "WITHIN", "CAP", "HOLD", "RELEASE"), rows, empty="There are no rules.")
    else:
        typer.echo(policy["document"])


@app.command()
def simulate(file: FILE, json: JSON = False, data: DATA = "") -> None:
    """Tell what a changed policy would do to every device. Changes nothing."""
    text = read_document(file)
    with connect(data) as api:
        told = api.post("/policy/simulation", {"document": text})
    if json:
        document(told)
        return
    effects: list[dict[str, Any]] = told["effects"]
    typer.echo(f"{told['looked_at']} devices looked at, {len(effects)} would stand differently.")
    if effects:
        rows = [(one["device"], one["name"] or "-", one["now"], one["then"], one["because"]) for one in effects]
        table(("DEVICE", "NAME", "NOW", "THEN", "BECAUSE"), rows, empty="")


@app.command()
def apply(
    file: FILE,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept in the ledger.")],
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Put a policy in force; `simulate` it first."""
    text = read_document(file)
    with connect(data) as api:
        policy = api.put("/policy", {"document": text, "reason": reason})
    if json:
        document(policy)
    else:
        typer.echo(printable(f"In force: policy {policy['digest'][:12]} with {len(policy['rules'])} rules."))


def read_document(file: str) -> str:
    """A text file's content, bounded; ``-`` is standard input."""
    try:
        if file == "-":
            content = sys.stdin.buffer.read(MAX_DOCUMENT_BYTES + 1)
        else:
            with Path(file).open("rb") as opened:
                content = opened.read(MAX_DOCUMENT_BYTES + 1)
        text = content.decode()
    except UnicodeDecodeError as error:
        raise Refused(f"{file} is not UTF-8 text.") from error
    if len(content) > MAX_DOCUMENT_BYTES:
        raise Refused(f"{file} is longer than {MAX_DOCUMENT_BYTES >> 10} KiB.")
    return text
