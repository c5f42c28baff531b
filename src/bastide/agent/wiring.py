"""The adapters that the agent uses."""

from datetime import datetime
from pathlib import Path
from typing import Protocol


class Fetching(Protocol):
    """A TUF client (adapters.tuf.client.Client)."""

    def refresh(self) -> None: ...

    def download(self, name: str, base_url: str, folder: Path) -> Path: ...


def trust_root(folder: Path, root: Path) -> int:
    """Makes a root the trusted one; its version."""
    from bastide.adapters.tuf.client import initialise

    return initialise(folder, root)


def fetching(folder: Path, metadata_url: str, now: datetime | None = None) -> Fetching:
    """A client over the trusted metadata in a folder."""
    from bastide.adapters.tuf.client import Client

    return Client(folder, metadata_url, now)
