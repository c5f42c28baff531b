"""The agent: enrols the device by the best that it has, and keeps it certified.

    python -m bastide.agent --url https://bastide.example:9443 --trust root.pem --state /var/lib/bastide-agent \\
        [--idevid CERT.pem --idevid-key KEY.pem | --claim-file FILE] [--label CLASS] [--once]

By the maker's certificate where there is one; else by the claim in the file (user name and password, a line each); else by
asking, until a person approves. The identity is one file, ``identity.pem`` in the state folder, with key and certificates. It
says one line of JSON for each thing that it did. ``--once`` does what is due now, and ends: 0 done, 1 not done yet.
"""

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from bastide.agent.hold import Agent, Means
from bastide.agent.wiring import certified
from bastide.core.error import BastideError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT; its exit status."""
    options = _parser()
    given = options.parse_args(arguments)
    address = urlsplit(given.url)
    if address.scheme != "https" or not address.hostname:
        options.error("--url is https://HOST:PORT, where the devices of your Bastide enrol")
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
        if given.once:
            return 0 if agent.once() else 1
        agent.run(stop.wait)
    except BastideError as error:
        print(error.sentence, file=sys.stderr)
        return 1
    return 0


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
    return options


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
