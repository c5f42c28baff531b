"""``bastide gateway``: the gateway of a site, on the machine that is it. Settings are BASTIDE_GATEWAY_… (docs/gateway.md)."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None)


@app.callback()
def gateway() -> None:
    """The gateway of a site: it enforces whom devices may reach. Run these on the gateway itself, as root."""


@app.command()
def join(
    server: Annotated[str, typer.Option("--server", metavar="URL", help="The device endpoints, https://HOST:9443.")],
    trust: Annotated[Path, typer.Option("--trust", metavar="FILE", help="The platform's root certificate (PEM).")],
    username: Annotated[str, typer.Option("--claim", metavar="USER", help="A claim for class gateway; its user name.")],
) -> None:
    """Make this gateway's keys and have it known; the claim's password is read from the standard input."""
    _become("join", server, str(trust), username)


@app.command()
def run() -> None:
    """Take signed plans, keep the kernel's rules as planned, and tell what they stop. Runs until it is ended."""
    _become()


@app.command()
def load() -> None:
    """Load the last good plan and end: at boot, before the network is up. Closed where there is none."""
    _become("load")


def _become(*arguments: str) -> None:
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "bastide.gateway", *arguments])  # noqa: S606 (no shell is meant)
