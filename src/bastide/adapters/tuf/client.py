"""A TUF client over python-tuf (TUF specification 1.0.33, section 5): trusted metadata in a folder, targets in another.

Added to what python-tuf does: the trusted root is found again after a power cut between any two writes (the newest file of
``root_history`` counts where ``root.json`` is missing); a server that sends slowly is given up by a rate, not only by a gap
between two octets; every failure is one error of ours with what to do next.
"""

import os
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import urllib3
from tuf.api import exceptions
from tuf.api._payload import Root
from tuf.api.metadata import Metadata
from tuf.api.serialization import DeserializationError
from tuf.ngclient.config import UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface
from tuf.ngclient.updater import Updater
from tuf.ngclient.urllib3_fetcher import Urllib3Fetcher

from bastide.core.error import NotFound, Refused, Unavailable, Unreadable

GAP_SECONDS: Final = 10
GRACE_SECONDS: Final = 20.0
LEAST_RATE: Final = 1024
"""Octets a second over a whole file, after the grace: less is a slow retrieval attack or a line on which no update ends."""
MAX_ROOT_BYTES: Final = 512_000


class RepositoryRefused(Refused):
    """What the repository says is not to be trusted; the trusted metadata in the folder is what it was before."""

    code = "release:metadata:refused"


class RepositoryAway(Unavailable):
    """The repository does not answer, or too slowly."""

    code = "release:repository:unavailable"


class Fetcher(Urllib3Fetcher):
    """Gives octets on as they come, and gives up a server that is slower than the least rate. ``tls`` shows a certificate."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(socket_timeout=GAP_SECONDS, app_user_agent="bastide-agent")
        if tls is not None:
            pool = urllib3.PoolManager(ssl_context=tls, headers={"User-Agent": "bastide-agent"})
            self._proxy_env = pool  # type: ignore[assignment]  # it asks in the same way

    def _chunks(self, response: urllib3.response.BaseHTTPResponse) -> Iterator[bytes]:
        began, received = time.monotonic(), 0
        try:
            # read1 gives what is there: read would wait for a whole chunk, a gap at a time, for ever.
            while chunk := response.read1(65536):
                received += len(chunk)
                if time.monotonic() - began > GRACE_SECONDS + received / LEAST_RATE:
                    raise exceptions.SlowRetrievalError(f"{received} octets in {time.monotonic() - began:.0f} s")
                yield chunk
        except urllib3.exceptions.TimeoutError as error:
            raise exceptions.SlowRetrievalError from error
        except urllib3.exceptions.HTTPError as error:
            raise exceptions.DownloadError(f"the transfer broke off: {error}") from error
        finally:
            response.release_conn()


def initialise(folder: Path, root: Path) -> int:
    """Makes a root the trusted one, by itself and nothing else; its version.

    ``Refused`` where it does not verify by its own keys. Whoever runs this decides anew whom the device trusts, also in a folder
    that has a root already.
    """
    try:
        with root.open("rb") as opened:
            octets = opened.read(MAX_ROOT_BYTES + 1)
    except OSError as error:
        raise NotFound(
            f"{root} cannot be read: {error.strerror}. Name the root that you got with the device."
        ) from error
    if len(octets) > MAX_ROOT_BYTES:
        raise Unreadable(f"{root} is larger than {MAX_ROOT_BYTES:,} octets; a root is not.")
    try:
        trusted = Metadata[Root].from_bytes(octets)
        if trusted.signed.type != Root.type:
            raise exceptions.RepositoryError(f"it is the metadata of {trusted.signed.type}")
        trusted.signed.verify_delegate(Root.type, trusted.signed_bytes, trusted.signatures)
    except (exceptions.RepositoryError, DeserializationError) as error:
        raise RepositoryRefused(f"{root} is not a root that its own keys have signed: {error}") from error
    history = folder / "root_history"
    try:
        history.mkdir(parents=True, exist_ok=True)
        _write(history / f"{trusted.signed.version}.root.json", octets)
        _link(folder, trusted.signed.version)
    except OSError as error:
        raise Unavailable(f"{folder} cannot be written: {error.strerror}.") from error
    return trusted.signed.version


class Client:
    """One update: refreshes the metadata once, then finds and downloads targets. ``now`` is the time to judge expiry by; without
    it the system's clock."""

    def __init__(
        self, folder: Path, metadata_url: str, now: datetime | None = None, fetcher: FetcherInterface | None = None
    ) -> None:
        self._folder = folder
        _settle(folder)
        with _told(f"the metadata in {folder}"):
            self._updater = Updater(
                str(folder), metadata_url, fetcher=fetcher or Fetcher(), config=UpdaterConfig(), bootstrap=None
            )
        if now is not None:
            self._updater._trusted_set.reference_time = now

    def refresh(self) -> None:
        """Brings root, timestamp, snapshot and targets up to date (section 5.3 to 5.6)."""
        with _told("the repository's metadata"):
            self._updater.refresh()

    def download(self, name: str, base_url: str, folder: Path) -> Path:
        """Finds a target through the delegations (5.6.7), fetches it where the folder does not have it yet, verifies it."""
        with _told(f"the target {name}"):
            found = self._updater.get_targetinfo(name)
            if found is None:
                raise NotFound(f"The repository has no target {name!r}, or nobody may sign it. See what it publishes.")
            folder.mkdir(parents=True, exist_ok=True)
            self._updater.target_dir = str(folder)
            kept = self._updater.find_cached_target(found)
            return Path(kept or self._updater.download_target(found, target_base_url=base_url))


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turns python-tuf's errors into ours."""
    try:
        yield
    except exceptions.DownloadHTTPError as error:
        raise RepositoryAway(f"Fetching {what} ended with HTTP status {error.status_code}. Try again later.") from error
    except exceptions.DownloadLengthMismatchError as error:
        raise RepositoryRefused(f"What came as {what} is longer than it may be: {error}") from error
    except exceptions.SlowRetrievalError as error:
        raise RepositoryAway(f"Fetching {what} was too slow and was given up ({error}). Try another mirror.") from error
    except exceptions.DownloadError as error:
        raise RepositoryAway(f"Fetching {what} failed: {error.__cause__ or error}. Try again later.") from error
    except (exceptions.RepositoryError, DeserializationError) as error:
        kind = type(error).__name__.removesuffix("Error")
        raise RepositoryRefused(f"Not trusted, {what} ({kind}): {error}") from error
    except OSError as error:
        raise Unavailable(f"Files cannot be read or written: {error}") from error
    except ValueError as error:
        raise RepositoryRefused(f"Not trusted, {what}: {error}") from error


def _settle(folder: Path) -> None:
    """Makes ``root.json`` name the newest trusted root again where a power cut came between its removal and its making."""
    link = folder / "root.json"
    if link.is_file():
        return
    versions = sorted(
        int(path.name.removesuffix(".root.json"))
        for path in (folder / "root_history").glob("*.root.json")
        if path.name.removesuffix(".root.json").isdigit()
    )
    if not versions:
        raise NotFound(f"{folder} has no trusted root. Run init with the root that you got with the device first.")
    try:
        _link(folder, versions[-1])
    except OSError as error:
        raise Unavailable(f"{folder} cannot be written: {error.strerror}.") from error


def _link(folder: Path, version: int) -> None:
    aside = folder / "root.json.new"
    aside.unlink(missing_ok=True)
    aside.symlink_to(f"root_history/{version}.root.json")
    os.replace(aside, folder / "root.json")


def _write(path: Path, octets: bytes) -> None:
    aside = path.with_name(path.name + ".new")
    with aside.open("wb") as made:
        made.write(octets)
        made.flush()
        os.fsync(made.fileno())
    os.replace(aside, path)
