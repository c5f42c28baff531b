"""The commands by name. A command's module is imported only when it is the one that was typed, so that the others cost
nothing at start. To add one, add a line: its name, ``module:attribute`` and what ``bastide --help`` says of it.

The attribute is a ``typer.Typer`` (a group, ``bastide device list``) or a function with typer's annotations (``bastide up``).
"""

from typing import NamedTuple


class Command(NamedTuple):
    name: str
    target: str
    help: str


COMMANDS: tuple[Command, ...] = (
    Command("up", "bastide.cli.up:up", "Start everything on this machine; Ctrl-C stops it."),
    Command("demo", "bastide.cli.demo:demo", "Run the demo fleet against a Bastide that runs here."),
)
