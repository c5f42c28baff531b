"""``bastide look``: asks the devices of named ranges what they serve. Nothing is asked that nobody named."""

import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from bastide.cli import output
from bastide.cli.client import Client, connect
from bastide.cli.scan import hand_in
from bastide.cli.wiring import Looked, look_at, parse_captures
from bastide.core.error import Refused, Unavailable
from bastide.operations.inventory.looking import (
    FRAGILE_PROTOCOLS,
    IN_ALL,
    PER_HOST,
    Pace,
    Probe,
    hosts,
    known_fragile,
    probes,
)


def look(
    ranges: Annotated[
        list[str], typer.Argument(help="Addresses and ranges to ask, such as 192.168.7.0/24.", metavar="RANGE...")
    ],
    ports: Annotated[
        str, typer.Option("--ports", help="Only these ports, as in 22,80,8080; without it the usual 18.")
    ] = "",
    skip: Annotated[list[str] | None, typer.Option("--skip", help="An address or range to leave out.")] = None,
    per_host: Annotated[int, typer.Option("--per-host", help="Packets a second to one host, at most.")] = PER_HOST,
    in_all: Annotated[int, typer.Option("--in-all", help="Packets a second in all, at most.")] = IN_ALL,
    keep: Annotated[
        Path | None, typer.Option("--keep", help="Keep what was said, as a capture, in this folder.")
    ] = None,
    fingerprints: Annotated[
        Path | None, typer.Option("--fingerprints", help="A fingerprint base that names device types.")
    ] = None,
    submit: Annotated[
        bool, typer.Option("--submit", help="Record the look in the running Bastide, and hand in what it found.")
    ] = False,
    source: Annotated[str, typer.Option("--source", help="With --submit: the look's name.")] = "look",
    site: Annotated[str, typer.Option("--site", help="With --submit: the site that is looked at.")] = "main",
    as_json: output.JSON = False,
    data: output.DATA = "",
) -> int:
    """Ask devices what they serve: a greeting or one well-formed request on each port, 40 packets/s to a host, 1,000 in all.

    Industrial protocols, and what prints what it gets, are never touched (docs/look.md).
    """
    asked = probes(_ports(ports))
    pace = Pace(per_host, in_all)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", source):
        raise Refused(f"{source!r} does not name a source; use letters, digits, dots and dashes, 80 at most.")
    with ExitStack() as stack:
        api = stack.enter_context(connect(data)) if submit else None
        fragile = _fragile(api) if api is not None else ()
        chosen = hosts(ranges, (*(skip or ()), *fragile))
        left_out = len(hosts(ranges, skip or ())) - len(chosen)
        folder = _folder(keep, stack)
        named = _begun(api, source, site, ranges, asked, per_host, in_all) if api is not None else ""
        if not as_json:
            typer.echo(_intent(len(chosen), asked, left_out), err=True)
        looked = look_at(chosen, asked, pace, folder, _progress(len(chosen) * len(asked), as_json=as_json))
        report = _report(looked, fingerprints)
        taken = None
        if api is not None:
            api.post(f"/looks/{named}/end", _ended(looked, site))
            taken = hand_in(api, report["devices"], source, site)
    told = {"hosts": len(chosen), "left_out": left_out, "answered": len(looked.answered), "probes": looked.probes}
    if as_json:
        output.document(report | {"look": told} | ({} if taken is None else {"submitted": taken}))
        return 0
    _show(report, told, taken, keep)
    return 0


def _ports(text: str) -> tuple[int, ...]:
    if not text:
        return ()
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdigit() and len(part) <= 5 for part in parts):
        raise Refused("Ports are numbers with commas between them, as in --ports 22,80,8080.", code="look:port")
    return tuple(int(part) for part in parts)


def _fragile(api: Client) -> tuple[str, ...]:
    """The addresses of devices that the inventory knows to speak what is never touched."""
    known = []
    for protocol in FRAGILE_PROTOCOLS:
        for one in api.pages("/inventory", query=f"protocol:={protocol}"):
            said = one["device"]["attributes"]
            of = {name: [each["value"] for each in said if each["name"] == name] for name in ("address", "protocol")}
            known.append((of["address"], of["protocol"]))
    return known_fragile(known)


def _folder(keep: Path | None, stack: ExitStack) -> Path:
    if keep is None:
        made = Path(tempfile.mkdtemp(prefix="bastide-look-"))
        stack.callback(shutil.rmtree, made, ignore_errors=True)
        return made
    try:
        keep.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"{keep} cannot be made: {error.strerror}.") from error
    return keep


def _begun(
    api: Client, source: str, site: str, ranges: Sequence[str], asked: Sequence[Probe], per_host: int, in_all: int
) -> str:
    body = {
        "source": source,
        "site": site,
        "ranges": [text[:64] for text in ranges],
        "ports": [f"{probe.transport}/{probe.port}" for probe in asked],
        "per_host": per_host,
        "in_all": in_all,
    }
    return str(api.post("/looks", body)["look"])


def _ended(looked: Looked, site: str) -> dict[str, Any]:
    return {"site": site, "hosts": len(looked.answered), "probes": looked.probes, "answers": looked.open}


def _report(looked: Looked, fingerprints: Path | None) -> dict[str, Any]:
    """What the sandboxed parser says of the answers; this machine, which asked, is not in it."""
    if not looked.captures:
        return {"devices": []}
    report = parse_captures(looked.captures, fingerprints)
    devices = [device for device in report["devices"] if set(device["ips"]) & looked.answered]
    return {"devices": devices, "undecodable": report["undecodable"]}


def _intent(count: int, asked: Sequence[Probe], left_out: int) -> str:
    said = f"Asking {count:,} hosts on {len(asked)} ports."
    return said + (f" {left_out} are left out: they speak protocols that are never touched." if left_out else "")


def _progress(total: int, *, as_json: bool) -> Any:
    shown = sys.stderr.isatty() and not as_json

    def told(done: int, _open: int) -> None:
        if shown and (done % 20 == 0 or done == total):
            sys.stderr.write(f"\r\x1b[K{done:,} of at most {total:,} probes" + ("\n" if done == total else ""))
            sys.stderr.flush()

    return told


def _show(report: dict[str, Any], told: dict[str, int], taken: dict[str, int] | None, keep: Path | None) -> None:
    rows = [
        (
            device["ips"][0] if device["ips"] else "",
            device["mac"] or "",
            output.printable(device["type"]["value"] or device["vendor"] or "unknown"),
            ", ".join(f"{one['protocol']}/{one['port']}" for one in device["services"]) or "nothing that was asked",
            "; ".join(output.printable(finding["title"]) for finding in device["findings"][:3]),
        )
        for device in sorted(report["devices"], key=lambda one: one["ips"])
    ]
    output.table(("Address", "Hardware", "What", "Serves", "Wrong"), rows, empty="Nobody served what was asked for.")
    typer.echo(f"{told['answered']} of {told['hosts']} hosts answered, to {told['probes']:,} probes.")
    if keep is not None:
        typer.echo(f"What was said is in {keep}, as captures put together from it.")
    if taken is not None:
        typer.echo(
            f"Handed in: {taken['new']} new devices, {taken['known']} known ones, {taken['findings']} findings"
            + (f"; {taken['passed_over']} without a lasting address were left out." if taken["passed_over"] else ".")
        )
