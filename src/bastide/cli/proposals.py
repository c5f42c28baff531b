"""``bastide profile lesson|proposals|propose|end|approve|decline``: network parts that wait for a person."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from bastide.cli.client import connect, segment
from bastide.cli.mud import read_mud
from bastide.cli.output import DATA, JSON, ago, document, printable, table
from bastide.cli.span import span
from bastide.core.error import Refused

NAME = Annotated[str, typer.Argument(metavar="NAME", help="The profile's name.")]
ID = Annotated[str, typer.Argument(metavar="ID", help="The proposal's id, see bastide profile proposals.")]
REASON = Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept in the ledger.")]
_MINUTE = timedelta(minutes=1)


def lesson(
    name: NAME,
    for_: Annotated[str, typer.Option("--for", metavar="SPAN", help="How long it listens; it ends by itself.")] = "7d",
    since: Annotated[
        str, typer.Option("--since", metavar="SPAN", help="What was heard so long before counts too.")
    ] = "",
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Learn a profile's network part from what its devices do while `bastide watch` listens; a person approves it."""
    asked = {"minutes": max(1, span(for_) // _MINUTE), "since_minutes": span(since) // _MINUTE if since else 0}
    with connect(data) as api:
        made = api.post(f"/profiles/{segment(name)}/lessons", asked)
    if json:
        document(made)
    else:
        typer.echo(
            printable(
                f"{made['id']}: {name} is being learned until {made['ends_at'][:16].replace('T', ' ')}Z; "
                "then it waits for you in `bastide profile proposals`."
            )
        )


def proposals(
    id: Annotated[str, typer.Argument(metavar="[ID]", help="One of them, in full.")] = "",
    of: Annotated[str, typer.Option("--of", metavar="NAME", help="Only of this profile.")] = "",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write its MUD file there.")] = None,
    json: JSON = False,
    data: DATA = "",
) -> None:
    """List lessons and proposals; with an ID, what one would change and what whoever decides should know."""
    with connect(data) as api:
        found = api.get(f"/proposals/{segment(id)}") if id else api.get("/proposals", profile=of)["items"]
    if id and out is not None:
        try:
            out.write_text(found["document"])
        except OSError as error:
            raise Refused(f"{out} cannot be written: {error.strerror}.") from error
    if json:
        document(found)
    elif id:
        _show(found)
    else:
        rows = [(one["id"], one["profile"], one["origin"], _state(one), ago(one["at"]), one["by"]) for one in found]
        table(
            ("ID", "PROFILE", "FROM", "STATE", "SINCE", "BY"),
            rows,
            empty="Nothing was proposed yet; `bastide profile lesson NAME` learns from what devices do.",
        )


def propose(
    name: NAME,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A MUD file (RFC 8520).")],
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Hand in a MUD file for a person to decide on; nothing changes before."""
    read_mud(file)  # what is wrong with it is said before anything is sent
    with connect(data) as api:
        made = api.post(f"/profiles/{segment(name)}/proposals", {"document": file.read_text()})
    if json:
        document(made)
    else:
        _show(made)


def fetch(
    name: NAME,
    url: Annotated[str, typer.Option("--url", help="Where its maker publishes it (https).")] = "",
    device: Annotated[str, typer.Option("--device", help="A device that was heard to name it (DHCP, LLDP).")] = "",
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Fetch a maker's MUD file with its signature; it waits for a person, and is fetched again when it grows old."""
    with connect(data) as api:
        asked = {"url": url, "device": api.device(device) if device else ""}
        made = api.post(f"/profiles/{segment(name)}/fetch", asked)
    if json:
        document(made)
    else:
        _show(made)


def end(id: ID, json: JSON = False, data: DATA = "") -> None:
    """End a lesson before its deadline: what was heard so far becomes the proposal."""
    with connect(data) as api:
        made = api.post(f"/proposals/{segment(id)}/end")
    if json:
        document(made)
    else:
        _show(made)


def approve(id: ID, reason: REASON, json: JSON = False, data: DATA = "") -> None:
    """Put a proposal in force as its profile's network part; gateways hold it within seconds."""
    _decide(id, "approval", reason, json, data)


def decline(id: ID, reason: REASON, json: JSON = False, data: DATA = "") -> None:
    """Decline a proposal, or stop a lesson; what is in force stays."""
    _decide(id, "refusal", reason, json, data)


def _decide(id: str, word: str, reason: str, json: bool, data: str) -> None:
    with connect(data) as api:
        made = api.post(f"/proposals/{segment(id)}/{word}", {"reason": reason})
    if json:
        document(made)
    else:
        typer.echo(printable(f"{id} is {made['state']}."))


def _show(one: dict[str, Any]) -> None:
    typer.echo(printable(f"{one['id']}: {one['profile']}, {one['origin']}, {_state(one)}"))
    for sentence in one["less"]:
        typer.echo(printable(f"- {sentence}"))
    for sentence in one["more"]:
        typer.echo(printable(f"+ {sentence}"))
    for sentence in one["told"]:
        typer.echo(printable(f"  {sentence}"))


def _state(one: dict[str, Any]) -> str:
    return f"learning, ends {ago(one['ends_at'])}" if one["state"] == "learning" else str(one["state"])
