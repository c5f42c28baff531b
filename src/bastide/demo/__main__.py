"""The demo fleet as a process: `python -m bastide.demo`, or `bastide demo`."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from datetime import datetime

from bastide.core.error import BastideError
from bastide.demo.api import API
from bastide.demo.config import DemoConfig
from bastide.demo.narrator import Narrator
from bastide.demo.play import Play


async def run(config: DemoConfig) -> None:
    """Plays until the story ends or the process is asked to stop."""
    console = f"https://localhost:{config.console_port}"
    narrator = Narrator(console, lambda: datetime.now().astimezone(), as_json=config.demo_json)
    data = config.data.expanduser()
    token, root = data / "operator.token", data / "trust" / "root.pem"
    for needed in (token, root):
        if not needed.exists():
            raise BastideError(
                f"There is no {needed}; start Bastide first (`bastide up`), or name its data with --data."
            )
    config.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    address = "127.0.0.1" if config.host in ("0.0.0.0", "::") else config.host  # noqa: S104
    async with API(f"https://{address}:{config.console_port}", root, token.read_text().strip()) as api:
        playing = asyncio.current_task()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, playing.cancel if playing else lambda: None)
        _say_ready(config.ready_fd)
        with suppress(asyncio.CancelledError):
            await Play(config, api, narrator).perform()
            return
        narrator.tell("end", "The demo fleet said goodbye.")


def _say_ready(fd: int) -> None:
    if fd >= 0:
        with suppress(OSError):
            os.write(fd, b"READY\n")


def main() -> int:
    try:
        asyncio.run(run(DemoConfig()))
    except BastideError as error:
        sys.stderr.write(f"bastide: {error.sentence}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
