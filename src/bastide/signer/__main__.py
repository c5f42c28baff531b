"""``python -m bastide.signer``: the process that alone holds the authority keys."""

import asyncio
import ctypes
import logging
import os
import sys

from bastide.core.error import BastideError
from bastide.signer.config import read_config
from bastide.signer.wiring import run

_PR_SET_DUMPABLE = 4


def main() -> int:
    os.umask(0o077)
    # No core file and no ptrace by other processes of the same user: memory holds the keys.
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    try:
        config = read_config()
        logging.basicConfig(
            level=config.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
        )
        asyncio.run(run(config))
    except BastideError as error:
        print(f"bastide signer: {error.sentence}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"bastide signer: {error.filename or 'the system'}: {error.strerror}.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
