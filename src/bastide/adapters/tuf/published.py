"""The platform's own repository, as the controller reads it: again only when somebody published something."""

from collections.abc import Sequence
from pathlib import Path

from bastide.adapters.tuf.repository import Repository
from bastide.core.error import Unavailable
from bastide.device.release.release import Release
from bastide.ports.clock import Clock


class PublishedReleases:
    """Implements ports.platform.rollouts.Releases over a folder."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._seen: tuple[int, int] | None = None
        self._held: tuple[Release, ...] = ()

    def published(self) -> Sequence[Release]:
        # The timestamp is written last, by each publication and each refresh.
        stamp = self._folder / "metadata" / "timestamp.json"
        try:
            found = stamp.stat()
        except FileNotFoundError:
            self._seen, self._held = None, ()
            return ()
        except OSError as error:
            raise Unavailable(f"{stamp} cannot be read: {error.strerror}.", code="release:repository") from error
        if self._seen != (found.st_mtime_ns, found.st_ino):
            self._held = Repository(self._folder, self._clock.now()).releases()
            self._seen = found.st_mtime_ns, found.st_ino
        return self._held
