"""Spans as people type and read them: ``90s``, ``15m``, ``8h``, ``14d``, ``2w``."""

import re
from datetime import timedelta

from bastide.core.error import Refused

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(\d{1,9})([smhdw])")


def span(text: str) -> timedelta:
    """The span that was typed; ``Refused`` where it is none."""
    match = _SPAN.fullmatch(text.strip().lower())
    if match is None or int(match[1]) == 0:
        raise Refused(f"{text!r} is not a span of time; write a number and s, m, h, d or w, such as 8h.")
    try:
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError as error:
        raise Refused(f"{text!r} is too long a span.") from error


def told(seconds: float) -> str:
    """The span in the largest unit that divides it."""
    whole = round(seconds)
    for unit, size in (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60)):
        if whole >= size and whole % size == 0:
            return f"{whole // size}{unit}"
    return f"{seconds:g}s"
