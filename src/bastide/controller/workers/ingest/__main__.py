"""``python -m bastide.controller.workers.ingest``"""

import logging
import os
import sys

import uvloop
from pydantic import ValidationError

from bastide.controller.workers.ingest.config import IngestConfig
from bastide.controller.workers.ingest.wiring import serve
from bastide.core.error import BastideError


def main() -> int:
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        uvloop.run(serve(IngestConfig()))
    except ValidationError as error:
        print(f"bastide ingest: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}", file=sys.stderr)
        return 2
    except BastideError as error:
        print(f"bastide ingest: {error.sentence}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
