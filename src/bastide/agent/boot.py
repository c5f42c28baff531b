"""The reference boot code over a board of files: decides what starts, keeps that, and says it.

    python -m bastide.agent.boot --board DIR

Prints one line of JSON with slot and on_trial; status 0, or 1 where nothing may be started. On a product the boot loader does
this.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bastide.agent.wiring import started
from bastide.core.error import BastideError


def main(arguments: Sequence[str] | None = None) -> int:
    """Boots once; the status."""
    options = argparse.ArgumentParser("python -m bastide.agent.boot", description="What a board starts.")
    options.add_argument("--board", type=Path, required=True, help="the folder of the board")
    given = options.parse_args(arguments)
    try:
        slot, on_trial = started(given.board)
    except BastideError as error:
        print(error.sentence, file=sys.stderr)
        return 1
    print(json.dumps({"slot": slot, "on_trial": on_trial}))
    return 0 if slot is not None else 1


if __name__ == "__main__":
    sys.exit(main())
