"""``bastide claim``: the right to enrol one device, once, until it expires."""

from typing import Annotated, Any

import typer

from bastide.cli.client import connect, segment
from bastide.cli.output import DATA, JSON, ago, document, facts, printable, table
from bastide.cli.span import span
from bastide.core.error import Refused

app = typer.Typer(rich_markup_mode=None)


@app.command()
def create(
    device_class: Annotated[
        str, typer.Option("--class", metavar="NAME", help="The class of a new device, such as camera.")
    ] = "",
    again: Annotated[
        str, typer.Option("--for", metavar="DEVICE", help="Instead: a known device that enrols again, after a reset.")
    ] = "",
    owner: Annotated[
        str, typer.Option("--owner", help="Who answers for the device; the class's owner unless given.")
    ] = "",
    site: Annotated[str, typer.Option("--site", help="Where it stands; the class's site unless given.")] = "",
    name: Annotated[str, typer.Option("--name", help="What people shall call it.")] = "",
    ttl: Annotated[
        str, typer.Option("--ttl", metavar="SPAN", help="How long the claim is open, such as 1h or 7d.")
    ] = "1h",
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Make a claim, and print the user name and password that one device enrols with. They are shown once."""
    if bool(device_class) is bool(again):
        raise Refused("Name the class of a new device with --class, or a known device with --for.", code="claim:asked")
    given = (("device_class", device_class), ("owner", owner), ("site", site), ("name", name))
    asked: dict[str, Any] = {"ttl_s": int(span(ttl).total_seconds())} | {key: value for key, value in given if value}
    with connect(data) as api:
        if again:
            asked["device"] = api.device(again)
        made = api.post("/claims", asked)
    if json:
        document(_shown(made))
        return
    if made["new_class"]:
        typer.echo(
            printable(f"Class {made['device_class']} is new: it was registered with the profile {made['profile']}.")
        )
    whom = f"{made['device']}, which enrols again" if made["device"] else f"one {made['device_class']}"
    typer.echo(printable(f"A claim for {whom}, of {made['owner']} at {made['site']}:"))
    facts(
        {
            "  user name": made["username"],
            "  password": made["password"],
            "  EST": made["est_url"],
            "  until": made["expires_at"],
        }
    )


@app.command("list")
def list_claims(json: JSON = False, data: DATA = "") -> None:
    """List claims, newest first."""
    with connect(data) as api:
        found = list(api.pages("/claims"))
    if json:
        document([_shown(one) for one in found])
        return
    rows = [
        (one["username"], one["state"], one["device_class"], one["owner"], one["site"], ago(one["expires_at"]))
        for one in found
    ]
    columns = ("USER NAME", "STATE", "CLASS", "OWNER", "SITE", "EXPIRES")
    table(columns, rows, empty="There are no claims. `bastide claim create --class NAME` makes one.")


@app.command()
def revoke(
    claim: Annotated[str, typer.Argument(metavar="USERNAME", help="The claim's user name.")],
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Revoke a claim that nobody has used yet."""
    with connect(data) as api:
        ended = api.post(f"/claims/{segment(claim)}/revocation")
    if json:
        document(_shown(ended))
    else:
        typer.echo(printable(f"{ended['username']}: {ended['state']}."))


def _shown(claim: dict[str, Any]) -> dict[str, Any]:
    """As programs read it: ``class`` is what the option is called."""
    return {("class" if key == "device_class" else key): value for key, value in claim.items()}
