"""``bastide rollout``: a published release for the devices of a class, ring by ring."""

from typing import Annotated, Any

import typer

from bastide.cli.client import connect, segment
from bastide.cli.output import DATA, JSON, ago, document, printable, table
from bastide.cli.span import span
from bastide.core.error import Refused

app = typer.Typer(rich_markup_mode=None)
ROLLOUT = Annotated[str, typer.Argument(metavar="ROLLOUT", help="The rollout's id.")]
NAME = Annotated[str, typer.Argument(metavar="NAME", help="The release's name.")]
VERSION = Annotated[str, typer.Argument(metavar="VERSION", help="The release's version.")]
CLASS = Annotated[str, typer.Option("--class", metavar="NAME", help="For the devices of this class.")]
SITE = Annotated[str, typer.Option("--site", help="Only at this site.")]
OWNER = Annotated[str, typer.Option("--owner", help="Only of this owner.")]
REASON = Annotated[str, typer.Option("--reason", help="Why; it is recorded.")]


@app.command()
def releases(json: JSON = False, data: DATA = "") -> None:
    """List the releases that are published in this platform's repository."""
    with connect(data) as api:
        found = list(api.get("/releases")["items"])
    if json:
        document(found)
        return
    rows = [
        (one["name"], one["version"], str(one["facts"].get("counter", "")), f"{one['length']:,}", one["digest"][:16])
        for one in found
    ]
    table(("NAME", "VERSION", "COUNTER", "OCTETS", "SHA-256"), rows, empty="Nothing is published; see docs/updates.md.")


@app.command()
def preflight(
    name: NAME,
    version: VERSION,
    device_class: CLASS,
    site: SITE = "",
    owner: OWNER = "",
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Tell what the release would do to each device, before anything is offered. Nothing is changed."""
    with connect(data) as api:
        found = api.post("/rollouts/preflight", _target(name, version, device_class, site, owner))
    if json:
        document(found)
        return
    typer.echo(
        f"Of {found['devices']:,} devices {found['ready']:,} can take it; {found['no_way_back']:,} of them could not go back."
    )
    rows = [(one["why"], f"{one['devices']:,}", ", ".join(one["examples"][:3])) for one in found["hindered"]]
    table(("CANNOT, BECAUSE", "DEVICES", "SUCH AS"), rows, empty="Nothing hinders any of them.")


@app.command()
def propose(
    name: NAME,
    version: VERSION,
    device_class: CLASS,
    site: SITE = "",
    owner: OWNER = "",
    rings: Annotated[str, typer.Option(help="Shares of the devices that rise to 1.")] = "0.01,0.1,0.5,1",
    first: Annotated[int, typer.Option(help="How many may begin at once in each ring.")] = 5,
    step: Annotated[str, typer.Option(metavar="SPAN", help="As many more after each such time.")] = "10m",
    growth: Annotated[float, typer.Option(help="And that many times more from step to step.")] = 1.2,
    window: Annotated[
        list[str] | None,
        typer.Option(metavar="DAYS@HH:MM-HH:MM", help="A window, as sat,sun@01:00-05:00; again for more."),
    ] = None,
    zone: Annotated[str, typer.Option(help="The time zone of the windows, such as Europe/Berlin.")] = "UTC",
    answer_within: Annotated[str, typer.Option(metavar="SPAN", help="After it a silent device has failed.")] = "2h",
    tolerable: Annotated[float, typer.Option(help="The rate of failure that is put up with.")] = 0.05,
    intolerable: Annotated[float, typer.Option(help="The rate that must not be missed.")] = 0.15,
    tries: Annotated[int, typer.Option(help="How often a device may try.")] = 2,
    approvals: Annotated[int, typer.Option(help="How many people must approve.")] = 1,
    repair: Annotated[
        bool, typer.Option("--repair", help="It repairs: for devices that get repairs only, too.")
    ] = False,
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Propose a rollout. Nothing begins before it is approved."""
    asked = _target(name, version, device_class, site, owner) | {
        "rings": _shares(rings),
        "first": first,
        "step_s": int(span(step).total_seconds()),
        "growth": growth,
        "windows": [_window(one) for one in window or ()],
        "zone": zone,
        "answer_within_s": int(span(answer_within).total_seconds()),
        "tolerable": tolerable,
        "intolerable": intolerable,
        "tries": tries,
        "approvals": approvals,
        "repair": repair,
    }
    with connect(data) as api:
        made = api.post("/rollouts", asked)
    if json:
        document(made)
        return
    typer.echo(f"{made['id']} is proposed. Look before: bastide rollout preflight {printable(name)} {printable(version)} "
               f"--class {printable(device_class)}. Then: bastide rollout approve {made['id']}")  # fmt: skip


@app.command()
def approve(rollout: ROLLOUT, json: JSON = False, data: DATA = "") -> None:
    """Approve a rollout. With the last approval that is needed it runs; one person approves once."""
    with connect(data) as api:
        done = api.post(f"/rollouts/{segment(rollout)}/approval")
    document(done) if json else typer.echo(
        f"{done['id']} runs." if done["phase"] == "running" else f"{done['approved']} of {done['approvals']} approvals."
    )


@app.command()
def pause(rollout: ROLLOUT, reason: REASON, json: JSON = False, data: DATA = "") -> None:
    """Pause a rollout: nobody begins any more, who began goes on."""
    _act(rollout, "pause", {"reason": reason}, json, data)


@app.command()
def resume(rollout: ROLLOUT, json: JSON = False, data: DATA = "") -> None:
    """Resume a paused rollout in its ring."""
    _act(rollout, "resumption", None, json, data)


@app.command()
def end(rollout: ROLLOUT, reason: REASON, json: JSON = False, data: DATA = "") -> None:
    """End a rollout for good. Who has the release keeps it."""
    _act(rollout, "end", {"reason": reason}, json, data)


@app.command("list")
def list_rollouts(
    all_: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    json: JSON = False,
    data: DATA = "",
) -> None:
    """List rollouts, the newest first."""
    phases = [] if all_ else ["proposed", "running", "paused"]
    with connect(data) as api:
        found = list(api.pages("/rollouts", most=500, phase=phases))
    if json:
        document(found)
        return
    rows = [
        (
            one["id"],
            f"{one['name']} {one['version']}",
            _whom(one),
            one["phase"],
            str(one["ring"]),
            ago(one["proposed_at"]),
        )
        for one in found
    ]
    table(("ROLLOUT", "RELEASE", "FOR", "PHASE", "RING", "PROPOSED"), rows, empty="No rollout is open.")


@app.command()
def show(rollout: ROLLOUT, json: JSON = False, data: DATA = "") -> None:
    """Show how a rollout goes: ring by ring, and the devices on which it failed."""
    with connect(data) as api:
        found = api.get(f"/rollouts/{segment(rollout)}")
        failed = list(api.pages(f"/rollouts/{segment(rollout)}/devices", most=20, state="failed"))
    if json:
        document(found | {"failed": failed})
        return
    approved = f", {found['approved']} of {found['approvals']} approvals" if found["phase"] == "proposed" else ""
    typer.echo(printable(f"{found['name']} {found['version']} for {_whom(found)}: {found['phase']}{approved}"))
    if found["because"]:
        typer.echo(printable(found["because"]))
    rows = [
        (
            f"{one['ring']}{' <' if one['ring'] == found['ring'] and found['phase'] == 'running' else ''}",
            f"{one['share']:.0%}" if one["share"] >= 0.01 else f"{one['share']:.2%}",
            str(one["began"]),
            str(one["succeeded"]),
            str(one["failed"]),
            f"{one['low']:.1%} to {one['high']:.1%}",
        )
        for one in found["rings"]
    ]
    table(("RING", "UP TO", "BEGAN", "SUCCEEDED", "FAILED", "RATE OF FAILURE"), rows, empty="Nobody has begun.")
    if failed:
        typer.echo("")
        lines = [(one["device"], str(one["ring"]), str(one["tries"]), printable(one["because"])) for one in failed]
        table(("FAILED ON", "RING", "TRIES", "BECAUSE"), lines, empty="")


def _act(rollout: str, act: str, body: Any, json: bool, data: str) -> None:
    with connect(data) as api:
        done = api.post(f"/rollouts/{segment(rollout)}/{act}", body)
    document(done) if json else typer.echo(f"{done['id']} is {done['phase']}.")


def _target(name: str, version: str, device_class: str, site: str, owner: str) -> dict[str, Any]:
    given = {"site": site, "owner": owner}
    return {"name": name, "version": version, "device_class": device_class} | {
        key: one for key, one in given.items() if one
    }


def _whom(rollout: dict[str, Any]) -> str:
    where = f" at {rollout['site']}" if rollout["site"] else ""
    return f"{rollout['device_class']}{where}{' of ' + rollout['owner'] if rollout['owner'] else ''}"


def _shares(text: str) -> list[float]:
    try:
        return [float(one) for one in text.split(",")]
    except ValueError as error:
        raise Refused(f"{text[:60]!r} are no rings; write shares as 0.01,0.1,1.") from error


def _window(text: str) -> dict[str, Any]:
    days, at, hours = text.partition("@")
    begins, dash, ends = hours.partition("-")
    if not at or not dash:
        raise Refused(f"{text[:60]!r} is no window; write it as sat,sun@01:00-05:00.")
    return {"days": days.lower().split(","), "begins": begins, "ends": ends}
