"""The agent's TUF client as a command, so that an outside suite can drive it:

    python -m bastide.agent.tuf_client --metadata-dir D init ROOT
    python -m bastide.agent.tuf_client --metadata-dir D --metadata-url U refresh
    python -m bastide.agent.tuf_client --metadata-dir D --metadata-url U --target-name N --target-base-url B \\
        --target-dir T download

Options may stand before or after the command. Status 0 is done, 1 is refused or failed (one sentence on standard error), 2 is
wrong use. This form takes the system's clock as it is: a suite moves it.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from bastide.agent.wiring import fetching, trust_root
from bastide.core.error import BastideError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; its exit status."""
    options = _parser()
    given = options.parse_intermixed_args(arguments)
    # python-tuf's errors come to us as exceptions; what urllib3 would log of retries is not for the reader.
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)
    missing = [f"--{name.replace('_', '-')}" for name in _NEEDED[given.command] if not getattr(given, name)]
    if missing:
        options.error(f"{given.command} needs {' and '.join(missing)}")
    if (given.command == "init") != (given.root is not None):
        options.error("init takes the path of the trusted root, and nothing else does")
    try:
        if given.command == "init":
            trust_root(given.metadata_dir, given.root)
            return 0
        client = fetching(given.metadata_dir, given.metadata_url)
        client.refresh()
        if given.command == "download":
            print(client.download(given.target_name, given.target_base_url, given.target_dir))
    except BastideError as error:
        print(error.sentence, file=sys.stderr)
        return 1
    return 0


_NEEDED = {
    "init": ("metadata_dir",),
    "refresh": ("metadata_dir", "metadata_url"),
    "download": ("metadata_dir", "metadata_url", "target_name", "target_base_url", "target_dir"),
}


def _parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser("python -m bastide.agent.tuf_client", description="A TUF client, step by step.")
    options.add_argument("--metadata-dir", type=Path, help="the folder of trusted metadata")
    options.add_argument("--metadata-url", help="where the repository's metadata is")
    options.add_argument("--target-name", help="the target's path")
    options.add_argument("--target-base-url", help="where the repository's targets are")
    options.add_argument("--target-dir", type=Path, help="the folder to download into")
    options.add_argument("command", choices=sorted(_NEEDED))
    options.add_argument("root", nargs="?", type=Path, help="init: the trusted root")
    return options


if __name__ == "__main__":
    sys.exit(main())
