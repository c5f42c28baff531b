"""``bastide scan``: what is in a capture, what is wrong, what to do first. Needs nothing that runs."""

import hashlib
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bastide.cli import output
from bastide.cli.wiring import parse_captures
from bastide.core.error import Refused, Unavailable

if TYPE_CHECKING:
    from bastide.cli.client import Client

MAX_SUBMITTED = 1000
"""Devices of one request; the API takes no more."""

_SUBMITTED = (
    "mac",
    "first_seen",
    "last_seen",
    "randomised_mac",
    "vendor",
    "ips",
    "hostnames",
    "protocols",
    "services",
    "says",
)


def scan(
    captures: Annotated[
        list[Path],
        typer.Argument(
            help="Captures (pcap, pcapng) and logs (Zeek, Suricata EVE), read together.", metavar="CAPTURE..."
        ),
    ],
    html: Annotated[Path | None, typer.Option("--html", help="Write one self-contained page to this file.")] = None,
    submit: Annotated[bool, typer.Option("--submit", help="Hand devices and findings to the running Bastide.")] = False,
    source: Annotated[str, typer.Option("--source", help="With --submit: the scan's name; else the file's name.")] = "",
    site: Annotated[str, typer.Option("--site", help="With --submit: where it was captured.")] = "main",
    fingerprints: Annotated[
        Path | None, typer.Option("--fingerprints", help="A fingerprint base that names device types.")
    ] = None,
    recog: Annotated[
        Path | None, typer.Option("--recog", help="recog's fingerprints: its folder xml/, or one document.")
    ] = None,
    oui: Annotated[
        Path | None,
        typer.Option("--oui", help="Who has which addresses: IEEE's oui.txt or oui.csv, Wireshark's manuf."),
    ] = None,
    as_json: output.JSON = False,
    data: output.DATA = "",
) -> int:
    """Name the devices in a capture, how they speak, and what is wrong with them."""
    report = parse_captures(
        captures,
        fingerprints,
        None if as_json else _progress(),
        conversations=submit,
        recog=_documents(recog),
        oui=oui,
    )
    names = [str(capture) for capture in captures]
    if html is not None:
        from bastide.cli.scan_html import page

        _write(html, page(report, names))
    taken = _submit(report, source or _source(captures[0]), site, data) if submit else None
    if as_json:
        output.document(report if taken is None else report | {"submitted": taken})
        return 0
    from bastide.cli.scan_text import show

    show(report, names)
    if html is not None:
        typer.echo(f"The page is in {html}.")
    if taken is not None:
        typer.echo(
            f"Handed in: {taken['new']} new devices, {taken['known']} known ones, {taken['findings']} findings"
            + (f"; {taken['passed_over']} without a lasting address were left out." if taken["passed_over"] else ".")
        )
    return 0


MAX_DOCUMENTS = 200


def _documents(recog: Path | None) -> list[Path]:
    """recog's documents of a folder, or the one that was named."""
    if recog is None:
        return []
    if not recog.is_dir():
        return [recog]
    found = sorted(recog.glob("*.xml"))[:MAX_DOCUMENTS]
    if not found:
        raise Refused(f"{recog} holds no XML; name recog's folder xml/.")
    return found


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}.") from error


def _source(capture: Path) -> str:
    """The capture's file name as a name of a source."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", capture.name).lstrip("._-")[:80]
    return name or "capture"


def _submit(report: dict[str, Any], source: str, site: str, data: str) -> dict[str, int]:
    """Posts the devices in parts, and returns how many were new, known, passed over, and the findings."""
    from bastide.cli.client import connect
    from bastide.cli.watch import hand_in_conversations

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", source):
        raise Refused(f"{source!r} does not name a source; use letters, digits, dots and dashes, 80 at most.")
    with connect(data) as api:
        total = hand_in(api, report["devices"], source, site)
        told = hashlib.sha256(json.dumps(report["conversations"], sort_keys=True).encode()).hexdigest()[:16]
        hand_in_conversations(api, report.pop("conversations"), source, site, told)
    return total


def hand_in(api: "Client", devices: Sequence[Mapping[str, Any]], source: str, site: str) -> dict[str, int]:
    """Posts devices in parts; how many were new, known, passed over, and the findings."""
    total = {"new": 0, "known": 0, "findings": 0, "passed_over": 0}
    for start in range(0, len(devices), MAX_SUBMITTED):
        part = [submitted_device(device) for device in devices[start : start + MAX_SUBMITTED]]
        answer = api.post("/scans", {"source": source, "site": site, "devices": part})
        total["new"] += len(answer["new"])
        total["known"] += len(answer["known"])
        total["findings"] += answer["findings"]
        total["passed_over"] += answer["passed_over"]
    return total


def submitted_device(device: Mapping[str, Any]) -> dict[str, Any]:
    """What is handed in of one device of a report."""
    kept = {name: device[name] for name in _SUBMITTED}
    kept["hostnames"] = [name[:200] for name in device["hostnames"]]
    kept["type"] = {name: device["type"][name] for name in ("value", "confidence")}
    kept["type"]["because"] = [output.printable(word)[:200] for word in device["type"]["because"][:6]]
    kept["vendor"] = device["vendor"][:200] if device["vendor"] else None
    kept["findings"] = [
        {name: finding[name] for name in ("code", "severity", "confidence", "title", "advice")}
        for finding in device["findings"]
    ]
    return kept


def _progress() -> Callable[[dict[str, Any]], None] | None:
    """One line on standard error that is rewritten; nothing where standard error is no terminal."""
    if not sys.stderr.isatty():
        return None

    def say(line: dict[str, Any]) -> None:
        if "progress" in line and line["size"]:
            name = output.printable(Path(line["progress"]).name)
            sys.stderr.write(f"\r\x1b[Kreading {name}: {line['done'] * 100 // line['size']} %")
        elif line.get("stage") == "compile":
            sys.stderr.write("\r\x1b[Kcompiling the packet kernel for this machine (once, 15 s or more)")
        elif line.get("stage") == "ready":
            sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()

    return say
