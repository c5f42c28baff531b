"""``bastide waiver``: exceptions to rules, each with an owner, a reason and an end."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from bastide.cli.client import connect, segment
from bastide.cli.output import DATA, JSON, ago, document, printable, table
from bastide.cli.span import span
from bastide.core.error import Refused

app = typer.Typer(rich_markup_mode=None)

REASON = Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept in the ledger.")]


@app.command("list")
def list_waivers(json: JSON = False, data: DATA = "") -> None:
    """List the exceptions in force."""
    with connect(data) as api:
        found = api.get("/waivers")["items"]
    if json:
        document(found)
        return
    rows = [
        (
            one["id"],
            one["rule"],
            f"{one['subject']['kind']}:{one['subject']['id']}" if one["subject"] else "every device",
            one["owner"],
            ago(one["ends_at"]),
            one["reason"],
        )
        for one in found
    ]
    table(("ID", "RULE", "FOR", "OWNER", "ENDS", "REASON"), rows, empty="No exception is in force.")


@app.command()
def create(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="The rule's id; see bastide policy show --rules.")],
    owner: Annotated[str, typer.Option("--owner", help="Who answers for it.")],
    reason: REASON,
    ends_in: Annotated[str, typer.Option("--for", metavar="SPAN", help="How long, such as 8h or 14d; at most a year.")],
    device: Annotated[str, typer.Option("--device", help="For this device only.")] = "",
    profile: Annotated[str, typer.Option("--profile", help="For devices of this profile only.")] = "",
    site: Annotated[str, typer.Option("--site", help="For devices of this site only.")] = "",
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Grant an exception to one rule until an end."""
    named = {kind: id for kind, id in (("device", device), ("profile", profile), ("site", site)) if id}
    if len(named) > 1:
        raise Refused("Name one of --device, --profile and --site, or none of them for every device.")
    ends_at = (datetime.now(UTC) + span(ends_in)).isoformat()
    with connect(data) as api:
        subject = None
        for kind, id in named.items():
            subject = {"kind": kind, "id": api.device(id) if kind == "device" else id}
        body = {"rule": rule, "subject": subject, "owner": owner, "reason": reason, "ends_at": ends_at}
        made = api.post("/waivers", body)
    if json:
        document(made)
    else:
        typer.echo(printable(f"{made['id']}: rule {made['rule']} is set aside until {made['ends_at']}."))


@app.command()
def end(
    waiver: Annotated[str, typer.Argument(metavar="WAIVER")], reason: REASON, json: JSON = False, data: DATA = ""
) -> None:
    """End an exception now."""
    with connect(data) as api:
        ended = api.post(f"/waivers/{segment(waiver)}/end", {"reason": reason})
    if json:
        document(ended)
    else:
        typer.echo(printable(f"{ended['id']}: rule {ended['rule']} holds again."))
