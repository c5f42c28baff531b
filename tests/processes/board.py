"""A device with two slots in files, its boot code and its agent, as their commands run them; and images for it."""

import base64
import json
import signal
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastide.agent.__main__ import main as agent
from bastide.agent.boot import main as boot
from bastide.device.boot.image import make_image

SLOT_BYTES, BLOCK_BYTES = 4 * 65_536, 65_536


def content(version: str, size: int = 150_000) -> bytes:
    """What an image holds: bytes that say which version it is."""
    return (f"firmware {version} ".encode() * size)[:size]


@dataclass
class Device:
    """``folder`` holds the board, the agent's state, and what its health check looks at. ``url`` and ``trust`` are Bastide's."""

    folder: Path
    url: str
    trust: Path
    update_root: Path
    said: list[dict[str, str]]

    @classmethod
    def make(
        cls, folder: Path, key: Ed25519PrivateKey, url: str, trust: Path, update_root: Path, claim: tuple[str, str]
    ) -> "Device":
        """A device as its maker ships it: version 1.0 in its first slot."""
        board = folder / "board"
        board.mkdir(parents=True)
        factory = make_image(content("1.0"), 1, key)
        (board / "slots.img").write_bytes(factory.ljust(2 * SLOT_BYTES, b"\xff"))
        (board / "states.img").write_bytes(b"\xff" * 2 * BLOCK_BYTES)
        public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
        described = {
            "hardware": "rev-b",
            "version": "1.0",
            "image_key": public,
            "slots": "slots.img",
            "states": "states.img",
        }
        (board / "board.json").write_text(json.dumps(described))
        (folder / "claim").write_text("\n".join(claim))
        return cls(folder, url, trust, update_root, [])

    @property
    def restarts(self) -> bool:
        """Whether the agent asked for a restart; asking takes that back."""
        asked = self.folder / "restart"
        found = asked.exists()
        asked.unlink(missing_ok=True)
        return found

    @property
    def id(self) -> str:
        return next(one["device"] for one in self.said if one.get("act") == "enrol")

    @property
    def outcomes(self) -> list[str]:
        return [one["outcome"] for one in self.said if one.get("act") == "update"]

    def boot(self) -> dict[str, int | bool]:
        """What the boot code starts."""
        status, said = _ran(boot, ["--board", str(self.folder / "board")])
        assert status == 0, said
        return dict(json.loads(said))

    def agent(self, health: str = "true") -> None:
        """One step of its agent."""
        given = ["--once", "--url", self.url, "--trust", str(self.trust), "--state", str(self.folder / "state")]
        given += ["--claim-file", str(self.folder / "claim"), "--board", str(self.folder / "board")]
        given += ["--update-root", str(self.update_root), "--restart", f"touch {self.folder / 'restart'}"]
        status, said = _ran(agent, [*given, "--health", health])
        assert status == 0, said
        self.said += [json.loads(line) for line in said.splitlines()]

    def live(self, health: str = "true", steps: int = 6) -> None:
        """Agent and boot code in turn, until the agent has nothing more to do."""
        for _ in range(steps):
            before = len(self.said)
            self.agent(health)
            if self.restarts:
                self.boot()
            elif len(self.said) == before:
                return


def _ran(command: Callable[[Sequence[str]], int], arguments: list[str]) -> tuple[int, str]:
    said = StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with redirect_stdout(said):
            status = command(arguments)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return status, said.getvalue()
