"""The settings of the commands that speak to a running Bastide: environment first, then the data directory's own file."""

import os
from dataclasses import dataclass
from pathlib import Path

from bastide.core.error import BastideError

DEFAULT_PORT = 8443
_environment = os.environ  # noqa: TID251 - this is the config module of the command line


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Where the API is, who asks, and whom to trust: ``trust`` is a PEM file, None for the system's own roots."""

    url: str
    token: str
    trust: Path | None
    data: Path


class NoToken(BastideError):
    """There is nothing to show who asks."""

    code = "cli:token:missing"


def data_directory(data: str = "", *, directory: Path = Path("~/.local/share/bastide")) -> Path:
    """The data directory that is named, that of BASTIDE_DATA, or the usual one."""
    return Path(data or _environment.get("BASTIDE_DATA", "") or directory).expanduser()


def client_settings(data: str = "") -> ClientSettings:
    """BASTIDE_URL and BASTIDE_TOKEN where they are set; else the Bastide of the data directory on this machine."""
    folder = data_directory(data)
    url = _environment.get("BASTIDE_URL", "").rstrip("/")
    token = _environment.get("BASTIDE_TOKEN", "").strip()
    root = folder / "trust" / "root.pem"
    if not token:
        if url:
            raise NoToken("BASTIDE_URL names another Bastide; set BASTIDE_TOKEN to an API token of it too.")
        try:
            token = (folder / "operator.token").read_text().strip()
        except FileNotFoundError as error:
            raise NoToken(
                f"There is no operator.token in {folder}: start Bastide there with `bastide up`, name another data "
                "directory with --data, or set BASTIDE_URL and BASTIDE_TOKEN."
            ) from error
    return ClientSettings(
        url=url or _url(folder),
        token=token,
        trust=root if root.exists() else None,
        data=folder,
    )


def _url(folder: Path) -> str:
    """Where the Bastide of that directory listens: what it wrote down when it started, or the usual port."""
    try:
        return (folder / "run" / "console.url").read_text().strip()
    except OSError:
        return f"https://localhost:{DEFAULT_PORT}"
