"""Errors of access. The sentences never say whether an account exists."""

from datetime import timedelta
from typing import ClassVar

from bastide.core.error import Refused


class AccessRefused(Refused):
    """A rule of access was not kept."""

    code: ClassVar[str] = "access:refused"


class NotSignedIn(AccessRefused):
    """Nobody is named by the request: no session or token, or one that ended."""

    code: ClassVar[str] = "access:not-signed-in"


class NotPermitted(AccessRefused):
    """Whoever asks is known and may not."""

    code: ClassVar[str] = "access:not-permitted"


class TryLater(AccessRefused):
    """Too many failures; ``after`` is how long to wait."""

    code: ClassVar[str] = "access:try-later"

    def __init__(self, after: timedelta) -> None:
        seconds = max(1, -(-int(after.total_seconds() * 1000) // 1000))
        super().__init__(
            f"Too many failed sign-ins: try again in {seconds} seconds, or use a one-time link or a passkey."
        )
        self.after_seconds = seconds
