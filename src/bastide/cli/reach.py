"""``bastide reach FROM TO``: who may ever reach what, both ways, and why not."""

import re
from typing import Annotated

import typer

from bastide.cli import JUDGED_BAD
from bastide.cli.client import Client, connect
from bastide.cli.output import DATA, JSON, document, printable, table
from bastide.core.error import Refused

END = "A device (its id, or a part of id or name), an address, a DNS name, an MQTT topic, or * for every device."
_PLAIN = re.compile(r"[0-9a-f:.]*[:.][0-9a-f:.]*", re.IGNORECASE)


def reach(
    source: Annotated[str, typer.Argument(metavar="FROM", help=END)],
    target: Annotated[str, typer.Argument(metavar="TO", help="The other end, in the same words.")],
    service: Annotated[str, typer.Option("--service", help="Such as tcp/443; else all that profiles speak of.")] = "",
    why_not: Annotated[bool, typer.Option("--why-not", help="With *: also the devices that may not, and why.")] = False,
    json: JSON = False,
    data: DATA = "",
) -> int:
    """Say who may reach what, both ways, and why not, from what the network and the broker hold now.

    Status 1 where FROM may not reach TO.
    """
    with connect(data) as api:
        ends = {"source": _end(api, source), "target": _end(api, target)}
        told = api.get("/reach", **ends, service=service)["items"]
    shown = told if why_not or "*" not in (source, target) else [one for one in told if one["may"]]
    if json:
        document(shown)
    else:
        rows = [
            (
                printable(one["source"]),
                ("may " if one["may"] else "may not ") + one["what"],
                printable(one["target"]),
                ("only logged: " if one["logged"] else "") + printable(one["because"]),
            )
            for one in shown
        ]
        table(("FROM", "", "TO", "BECAUSE"), rows, empty="Nobody may; --why-not says why.")
    return 0 if any(one["may"] and one["forward"] for one in told) else JUDGED_BAD


def _end(api: Client, text: str) -> str:
    """A device's id where the text finds one device; else the text as it is: a host or a topic."""
    if text == "*" or "/" in text or _PLAIN.fullmatch(text):
        return text
    try:
        return str(api.device(text))
    except Refused:
        if "." not in text:  # then it can be no host either
            raise
        return text
