"""``bastide authority``: the platform's CAs, and how the next one comes into a Bastide that runs.

bastide authority request -o next.pem      here
bastide ceremony sign next.pem ...         where the root's shares are, on any machine
bastide authority install outcome.pem      here
"""

from pathlib import Path
from typing import Annotated

import typer

from bastide.cli.client import connect
from bastide.cli.files import read_text
from bastide.cli.output import DATA, JSON, ago, document, printable, table
from bastide.signer.files import write_whole

app = typer.Typer(rich_markup_mode=None)
MAX_BYTES = 32_768


@app.command("list")
def list_authorities(json: JSON = False, data: DATA = "") -> None:
    """List roots and issuing CAs, and how many certificates of each have not ended."""
    with connect(data) as api:
        found = list(api.get("/authorities")["items"])
    if json:
        document(found)
        return
    rows = [
        (
            one["kind"],
            one["state"],
            one["subject"],
            one["key"][:16],
            one["algorithm"],
            ago(one["used_from"]),
            ago(one["not_after"]),
            "" if one["certificates"] is None else one["certificates"],
        )
        for one in found
    ]
    table(
        ("KIND", "STATE", "SUBJECT", "KEY", "ALGORITHM", "USED", "ENDS", "CERTIFICATES"), rows, empty="There is no CA."
    )


@app.command()
def request(
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the request goes.")],
    data: DATA = "",
) -> None:
    """Ask the signer for the next issuing CA's request. Nothing changes until its certificate is installed."""
    with connect(data) as api:
        pem = api.post("/authorities/request", {})["request"]
    write_whole(output, pem.encode(), 0o644)
    typer.echo(
        printable(
            f"{output} goes to the ceremony: `bastide ceremony sign {output} SHARE SHARE --root root.pem -o ca.pem`."
        )
    )


@app.command()
def install(
    outcome: Annotated[Path, typer.Argument(metavar="CA.pem", help="What `bastide ceremony sign` wrote.")],
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Install the next issuing CA, and the next root where the ceremony made one. Devices go on as they are."""
    pem = read_text(outcome, MAX_BYTES, "outcome of the ceremony")
    with connect(data) as api:
        made = api.post("/authorities", {"certificates": pem})
    if json:
        document(made)
        return
    typer.echo(printable(f"{made['subject']} is trusted now, and in use {ago(made['used_from'])}."))
