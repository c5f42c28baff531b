"""``python -m bastide.controller``: the API, the console, the device endpoints and the workers."""

import logging
import os
import sys

import uvloop

from bastide.controller.collector import tune
from bastide.controller.config import ControllerConfig
from bastide.controller.wiring import run
from bastide.core.error import BastideError


def main() -> int:
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    for chatty in ("httpx", "alembic", "nats"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    tune()
    try:
        uvloop.run(run(ControllerConfig()))
    except BastideError as error:
        print(f"bastide controller: {error.sentence}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"bastide controller: {error.filename or 'the system'}: {error.strerror or error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
