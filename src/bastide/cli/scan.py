"""``bastide scan``: what is in a capture, what is wrong, what to do first. Needs nothing that runs."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from bastide.cli import output
from bastide.cli.wiring import parse_captures

STATUS_DONE = 0


def scan(
    captures: Annotated[
        list[Path], typer.Argument(help="Captures (pcap, pcapng) to read together.", metavar="CAPTURE...")
    ],
    as_json: output.JSON = False,
) -> int:
    """Name the devices in a capture, how they speak, and what is wrong with them."""
    report = parse_captures(captures, {}, None if as_json else _progress())
    if as_json:
        output.document(report)
        return STATUS_DONE
    from bastide.cli.scan_text import show

    show(report, [str(capture) for capture in captures])
    return STATUS_DONE


def _progress() -> Any:
    """One line on standard error that is rewritten; nothing where standard error is no terminal."""
    if not sys.stderr.isatty():
        return None

    def say(line: dict[str, Any]) -> None:
        if "progress" in line and line["size"]:
            sys.stderr.write(f"\r\x1b[Kreading {Path(line['progress']).name}: {line['done'] * 100 // line['size']} %")
        elif line.get("stage") == "compile":
            sys.stderr.write("\r\x1b[Kcompiling the packet kernel for this machine (once, about 15 s)")
        elif line.get("stage") == "ready":
            sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()

    return say
