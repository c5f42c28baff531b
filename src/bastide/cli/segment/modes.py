"""``bastide segment observe|enforce|inherit|modes``: first log what a profile denies, then drop it."""

from datetime import timedelta
from typing import Annotated, Any

import typer

from bastide.cli.client import Client, connect, segment
from bastide.cli.output import DATA, JSON, ago, document, printable, table
from bastide.cli.span import span
from bastide.core.error import Refused

DEVICE = Annotated[str, typer.Option("--device", help="Of one device: its id, or a part of id or name.")]
PROFILE = Annotated[str, typer.Option("--profile", metavar="NAME", help="Of all devices of a profile.")]
ZONE = Annotated[str, typer.Option("--zone", metavar="NAME", help="Of all devices of a zone.")]
REASON = Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept in the ledger.")]


def observe(
    reason: REASON, device: DEVICE = "", profile: PROFILE = "", zone: ZONE = "", json: JSON = False, data: DATA = ""
) -> None:
    """Log what a profile denies, and let it through. The narrowest mode counts: device, then profile, then zone."""
    with connect(data) as api:
        made = api.put(f"{_path(api, device, profile, zone)}/mode", {"mode": "observe", "reason": reason})
    _tell(made, json)


def enforce(
    reason: REASON,
    device: DEVICE = "",
    profile: PROFILE = "",
    zone: ZONE = "",
    limit: Annotated[
        str, typer.Option("--limit", metavar="SHARE", help="Of what a device was answered, the most that may be cut.")
    ] = "5%",
    watch: Annotated[
        str, typer.Option("--watch", metavar="SPAN", help="So long a device over the limit goes back to observe.")
    ] = "15m",
    anyway: Annotated[bool, typer.Option("--anyway", help="Also where more than the limit would be cut.")] = False,
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Drop what a profile denies. Refused where that would cut more than the limit of what was answered in the last week."""
    asked = {
        "mode": "enforce",
        "reason": reason,
        "limit": _share(limit),
        "probation_minutes": max(1, span(watch) // timedelta(minutes=1)),
        "anyway": anyway,
    }
    with connect(data) as api:
        made = api.put(f"{_path(api, device, profile, zone)}/mode", asked)
    _tell(made, json)


def inherit(device: DEVICE = "", profile: PROFILE = "", zone: ZONE = "", data: DATA = "") -> None:
    """Take a mode back: the next wider one counts; where none is set, profiles are enforced."""
    with connect(data) as api:
        api.delete(f"{_path(api, device, profile, zone)}/mode")
    typer.echo("Taken back.")


def modes(json: JSON = False, data: DATA = "") -> None:
    """List the modes that are set, with who set them and why."""
    with connect(data) as api:
        found = api.get("/modes")["items"]
    if json:
        document(found)
        return
    rows = [
        (one["over"], one["name"], _words(one), ago(one["at"]), one["by"], one["reason"])
        for one in found
    ]  # fmt: skip
    table(
        ("OVER", "NAME", "MODE", "SET", "BY", "REASON"), rows, empty="No mode is set: profiles are enforced everywhere."
    )


def _path(api: Client, device: str, profile: str, zone: str) -> str:
    if sum(bool(one) for one in (device, profile, zone)) != 1:
        raise Refused("Say what it is about, one of: --device, --profile, --zone.")
    if device:
        return f"/devices/{api.device(device)}"
    return f"/profiles/{segment(profile)}" if profile else f"/zones/{segment(zone)}"


def _share(text: str) -> float:
    try:
        share = float(text.rstrip("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise Refused(f"{text!r} is no share; write it as 5% or 0.05.")
    return share


def _words(one: dict[str, Any]) -> str:
    if one["probation_ends"]:
        return f"{one['mode']}, over {one['limit']:.0%} cut goes back until {one['probation_ends'][:16].replace('T', ' ')}Z"
    return str(one["mode"])


def _tell(made: dict[str, Any], json: bool) -> None:
    if json:
        document(made)
    else:
        what = {"observe": "is observed: what it denies is logged and let through", "enforce": "is enforced"}
        typer.echo(
            printable(f"The {made['over']} {made['name']} {what[made['mode']]}; gateways hold it within seconds.")
        )
        if made["probation_ends"]:
            typer.echo(
                f"Until {made['probation_ends'][:16].replace('T', ' ')}Z a device that misses more than "
                f"{made['limit']:.1%} goes back to observe by itself."
            )
