"""``bastide agent``: the device's own agent, as a process of its own."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer


def agent(
    url: Annotated[str, typer.Option(help="Where devices enrol, as https://HOST:PORT.")],
    trust: Annotated[Path, typer.Option(help="The root that this device trusts (PEM).")],
    state: Annotated[Path, typer.Option(help="The folder of this device's identity.")],
    idevid: Annotated[Path | None, typer.Option(help="The maker's certificate (PEM).")] = None,
    idevid_key: Annotated[Path | None, typer.Option(help="Its key (PEM).")] = None,
    claim_file: Annotated[
        Path | None, typer.Option(help="A file with a claim: user name and password, a line each.")
    ] = None,
    label: Annotated[str, typer.Option(help="The class of device that it asks to be.")] = "",
    once: Annotated[bool, typer.Option("--once", help="Do what is due now, and end.")] = False,
) -> None:
    """Enrol this device by the best that it has, and keep it certified.

    By its maker's certificate, else by a claim, else by asking until a person approves. On a device `python -m bastide.agent` is
    the same without the rest of Bastide."""
    command = [sys.executable, "-m", "bastide.agent", "--url", url, "--trust", str(trust), "--state", str(state)]
    for name, value in (
        ("--idevid", idevid),
        ("--idevid-key", idevid_key),
        ("--claim-file", claim_file),
        ("--label", label),
    ):
        if value:
            command += [name, str(value)]
    os.execv(command[0], [*command, *(["--once"] if once else [])])  # noqa: S606  # the same interpreter
