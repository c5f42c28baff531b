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
    board: Annotated[Path | None, typer.Option(help="The folder of the board that is kept updated.")] = None,
    update_root: Annotated[
        Path | None, typer.Option(help="The repository's root that this device was made with.")
    ] = None,
    restart: Annotated[str, typer.Option(help="The command that restarts the device.")] = "",
    health: Annotated[str, typer.Option(help="A command that ends with 0 where the device is well.")] = "",
    once: Annotated[bool, typer.Option("--once", help="Do what is due now, and end.")] = False,
) -> None:
    """Enrol this device by the best that it has, keep it certified, and updated where it has a board.

    By its maker's certificate, else by a claim, else by asking until a person approves. On a device `python -m bastide.agent` is
    the same without the rest of Bastide."""
    command = [sys.executable, "-m", "bastide.agent", "--url", url, "--trust", str(trust), "--state", str(state)]
    for name, value in (
        ("--idevid", idevid),
        ("--idevid-key", idevid_key),
        ("--claim-file", claim_file),
        ("--label", label),
        ("--board", board),
        ("--update-root", update_root),
        ("--restart", restart),
        ("--health", health),
    ):
        if value:
            command += [name, str(value)]
    os.execv(command[0], [*command, *(["--once"] if once else [])])  # noqa: S606  # the same interpreter
