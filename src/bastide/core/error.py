"""The error base.

Every error that Bastide raises on purpose derives from :class:`BastideError`. It has a stable ``code``
(``area:thing:what``, for programs), and one sentence for people that names the thing, what was found, what was
expected, and what to do next. "Our fault" and "the peer's fault" are different branches: :class:`Refused` is the peer's.
"""

from typing import ClassVar


class BastideError(Exception):
    """Something that Bastide can name. ``code`` is stable across releases, the sentence is not."""

    code: ClassVar[str] = "bastide:error"

    def __init__(self, sentence: str, *, code: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.reason = code or self.code


class Refused(BastideError):
    """The peer asked for what it may not have, or sent what cannot be read. Nothing was changed."""

    code = "bastide:refused"


class Unreadable(Refused):
    """Bytes that do not follow the form that they claim to have."""

    code = "bastide:unreadable"


class NotFound(Refused):
    """The thing that was named is not there."""

    code = "bastide:not-found"


class Conflict(BastideError):
    """Somebody else changed the same thing first. Read it again, and try again."""

    code = "bastide:conflict"


class Unavailable(BastideError):
    """A part of Bastide or a service that it needs does not answer now. Trying again later may work."""

    code = "bastide:unavailable"
