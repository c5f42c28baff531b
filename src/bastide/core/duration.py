"""Durations as people write them: ``90s``, ``15m``, ``1h``, ``14d``, ``2w``."""

import re
from datetime import timedelta

from bastide.core.error import Unreadable

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FORM = re.compile(r"(\d{1,6})([smhdw])")


def parse_duration(text: str) -> timedelta:
    """A positive number and one unit. ``Unreadable`` (code ``duration:form``) where it is anything else."""
    match = _FORM.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise Unreadable(
            f"{text!r} is not a duration; write a number and a unit, e.g. 90s, 15m, 1h, 14d.", code="duration:form"
        )
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def format_duration(span: timedelta) -> str:
    """The shortest text that :func:`parse_duration` reads back, in the largest unit that divides it."""
    seconds = int(span.total_seconds())
    for unit, size in (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
