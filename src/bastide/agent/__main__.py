"""The agent: enrols the device by the best that it has, and keeps it certified.

    python -m bastide.agent --url https://bastide.example:9443 --trust root.pem --state /var/lib/bastide-agent \\
        [--idevid CERT.pem --idevid-key KEY.pem | --claim-file FILE] [--label CLASS] [--once] \\
        [--board DIR --update-root 1.root.json --restart "systemctl reboot" [--health "my-check"]]

By the maker's certificate where there is one; else by the claim in the file (user name and password, a line each); else by
asking, until a person approves. The identity is one file, ``identity.pem`` in the state folder, with key and certificates. It
says one line of JSON for each thing that it did. ``--once`` does what is due now, and ends: 0 done, 1 not done yet. With a
board it keeps the device updated, too: agent.keep_updated.
"""

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from bastide.agent.hold import Agent, Means
from bastide.agent.keep_updated import Updater
from bastide.agent.wiring import Updating, certified, updater
from bastide.core.error import BastideError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT; its exit status."""
    options = _parser()
    given = options.parse_args(arguments)
    address = urlsplit(given.url)
    if address.scheme != "https" or not address.hostname:
        options.error("--url is https://HOST:PORT, where the devices of your Bastide enrol")
    if given.board is not None and not (given.update_root and given.restart):
        options.error("--board needs --update-root and --restart")
    if (given.idevid is None) != (given.idevid_key is None):
        options.error("--idevid and --idevid-key go together")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    means = Means(
        shown=(given.idevid, given.idevid_key) if given.idevid else None, claim_file=given.claim_file, label=given.label
    )
    try:
        identity, server, clock = certified(given.state, address.hostname, address.port or 9443, given.trust)
        agent = Agent(identity, server, means, clock, _say)
        if given.once and not agent.once():
            return 1
        updates = None
        if given.board is not None:
            told = Updating(
                given.board, given.update_root, given.restart, given.health, timedelta(seconds=given.longest)
            )
            updates = updater(told, identity, address.hostname, address.port or 9443, given.trust, _say)
        if given.once:
            if updates is not None:
                updates.step()
            return 0
        while not stop.wait(_due(agent, updates if identity.held() else None).total_seconds()):
            pass
    except BastideError as error:
        print(error.sentence, file=sys.stderr)
        return 1
    return 0


def _due(agent: Agent, updates: Updater | None) -> timedelta:
    """Does what is due; how long to wait. Updates wait for a certificate."""
    return min(agent.step(), updates.step()) if updates is not None else agent.step()


def _say(**told: str) -> None:
    print(json.dumps(told), flush=True)


def _parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser("python -m bastide.agent", description="Keeps this device certified, over EST.")
    options.add_argument("--url", required=True, help="where devices enrol, as https://HOST:PORT")
    options.add_argument("--trust", type=Path, required=True, help="the root that this device trusts (PEM)")
    options.add_argument("--state", type=Path, required=True, help="the folder of this device's identity")
    options.add_argument(
        "--idevid", type=Path, help="the maker's certificate (PEM), with what links it to the maker's CA"
    )
    options.add_argument("--idevid-key", type=Path, help="its key (PEM)")
    options.add_argument("--claim-file", type=Path, help="a file with a claim: user name and password, a line each")
    options.add_argument("--label", default="", help="the class of device that it asks to be")
    options.add_argument("--once", action="store_true", help="do what is due now, and end")
    options.add_argument("--board", type=Path, help="the folder of the board that is kept updated")
    options.add_argument("--update-root", type=Path, help="the repository's root that this device was made with")
    options.add_argument("--restart", default="", help="the command that restarts the device")
    options.add_argument("--health", default="", help="a command that ends with 0 where the device is well")
    options.add_argument(
        "--longest", type=int, default=3600, help="the longest pause between two questions, in seconds"
    )
    return options


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
