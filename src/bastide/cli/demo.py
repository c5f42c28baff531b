"""``bastide demo``: the demo fleet against a Bastide that runs on this machine."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from bastide.cli.output import JSON
from bastide.cli.up import read_settings
from bastide.cli.wiring import DataDirectory
from bastide.core.duration import parse_duration


def demo(
    data: Annotated[
        Path, typer.Option(envvar="BASTIDE_DATA", help="The data directory of the Bastide that runs.")
    ] = Path("~/.local/share/bastide"),
    devices: Annotated[int, typer.Option(min=2, max=500, help="How many devices.")] = 25,
    speed: Annotated[
        float, typer.Option(min=0.1, help="Virtual seconds in a real one; 360: a day in four minutes.")
    ] = 360.0,
    misuse_after: Annotated[str, typer.Option(help="When a device is taken over, after all are connected.")] = "40s",
    telnet_after: Annotated[str, typer.Option(help="When a camera is seen on Telnet.")] = "75s",
    once: Annotated[bool, typer.Option("--once", help="End when the story is told.")] = False,
    for_: Annotated[str, typer.Option("--for", help="End after this time, e.g. 10m (default: Ctrl-C ends it).")] = "",
    json: JSON = False,
) -> None:
    """Run the demo fleet: devices enrol, connect, report; one is taken over and is cut off."""
    directory = DataDirectory(data.expanduser().absolute())
    settings = read_settings(directory, {})
    told = {
        "DATA": str(directory.path),
        "HOST": settings.host,
        "CONSOLE_PORT": settings.console_port,
        "DEVICE_PORT": settings.device_port,
        "MQTT_PORT": settings.mqtt_port,
        "DEMO_DEVICES": devices,
        "DEMO_SPEED": speed,
        "DEMO_MISUSE_AFTER": parse_duration(misuse_after).total_seconds(),
        "DEMO_TELNET_AFTER": parse_duration(telnet_after).total_seconds(),
        "DEMO_FOR": parse_duration(for_).total_seconds() if for_ else 0,
        "DEMO_ONCE": once,
        "DEMO_JSON": json,
    }
    environment = dict(os.environ)  # noqa: TID251 (handed on to the process that runs in our place)
    environment |= {f"BASTIDE_{name}": str(value) for name, value in told.items()}
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", "bastide.demo"], environment)  # noqa: S606 (no shell is meant)
