"""``bastide enrolment``: a while in which devices without any proof may ask, and a person's answer to each."""

from typing import Annotated, Any

import typer

from bastide.cli.client import connect, segment
from bastide.cli.output import DATA, JSON, ago, document, printable, table
from bastide.cli.span import span

app = typer.Typer(rich_markup_mode=None)
REQUEST = Annotated[str, typer.Argument(metavar="REQUEST", help="The request's id.")]
CLASS = Annotated[str, typer.Option("--class", metavar="NAME", help="The device's class, such as camera.")]
OWNER = Annotated[str, typer.Option("--owner", help="Who answers for the device; the class's owner unless given.")]
SITE = Annotated[str, typer.Option("--site", help="Where it stands; the class's site unless given.")]


@app.command("open")
def open_(
    device_class: CLASS,
    owner: OWNER = "",
    site: SITE = "",
    last: Annotated[str, typer.Option("--for", metavar="SPAN", help="How long, such as 1h; at most 7d.")] = "1h",
    most: Annotated[int, typer.Option(help="How many devices may ask.")] = 20,
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Let devices of a class ask for a while. Each waits until somebody approves it."""
    asked: dict[str, Any] = {"device_class": device_class, "span_s": int(span(last).total_seconds()), "most": most}
    with connect(data) as api:
        made = api.post("/enrolment/windows", asked | _given(owner=owner, site=site))
    if json:
        document(made)
        return
    typer.echo(
        printable(
            f"Until {made['ends_at']} up to {made['most']} devices may ask to enrol as {made['device_class']} at {made['site']}. "
            "`bastide enrolment requests` shows them."
        )
    )


@app.command()
def windows(json: JSON = False, data: DATA = "") -> None:
    """List the windows that are open."""
    with connect(data) as api:
        found = list(api.get("/enrolment/windows")["items"])
    if json:
        document(found)
        return
    rows = [(one["id"], one["device_class"], one["site"], ago(one["ends_at"]), str(one["most"])) for one in found]
    table(
        ("WINDOW", "CLASS", "SITE", "ENDS", "MOST"),
        rows,
        empty="No window is open: a device without a proof is refused.",
    )


@app.command()
def close(window: Annotated[str, typer.Argument(metavar="WINDOW", help="The window's id.")], data: DATA = "") -> None:
    """Close a window. Who asked may still be answered."""
    with connect(data) as api:
        api.delete(f"/enrolment/windows/{segment(window)}")
    typer.echo(printable(f"{window} is closed."))


@app.command()
def requests(
    all_: Annotated[bool, typer.Option("--all", help="Those that were answered, too.")] = False,
    json: JSON = False,
    data: DATA = "",
) -> None:
    """List the devices that wait for an answer, with the fingerprint of the key of each."""
    with connect(data) as api:
        found = list(api.get("/enrolment/requests", limit=500, waiting=None if all_ else "true")["items"])
    if json:
        document(found)
        return
    rows = [
        (
            one["id"],
            one["state"],
            one["device_class"],
            f"{one['vendor']} {one['serial']}".strip() or f"unproven: {one['asked_for']}",
            one["key"][:16],
            one["source"],
            ago(one["asked_at"]),
        )
        for one in found
    ]
    table(
        ("REQUEST", "STATE", "CLASS", "SAYS IT IS", "KEY", "FROM", "ASKED"), rows, empty="Nobody waits for an answer."
    )


@app.command()
def approve(
    request: REQUEST,
    device_class: Annotated[str, typer.Option("--class", metavar="NAME", help="Another class than it asked for.")] = "",
    owner: OWNER = "",
    site: SITE = "",
    name: Annotated[str, typer.Option("--name", help="What people shall call it.")] = "",
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Let a device in: it gets its certificate when it asks again. Compare the key's fingerprint first."""
    given = _given(device_class=device_class, owner=owner, site=site, name=name)
    with connect(data) as api:
        done = api.post(f"/enrolment/requests/{segment(request)}/approval", given)
    document(done) if json else typer.echo(
        printable(f"{done['id']} is approved as {done['device_class']} of {done['owner']} at {done['site']}.")
    )


@app.command()
def decline(request: REQUEST, json: JSON = False, data: DATA = "") -> None:
    """Decline a device. It is told so when it asks again."""
    with connect(data) as api:
        done = api.post(f"/enrolment/requests/{segment(request)}/refusal")
    document(done) if json else typer.echo(printable(f"{done['id']} is declined."))


def _given(**options: str) -> dict[str, str]:
    return {name: value for name, value in options.items() if value}
