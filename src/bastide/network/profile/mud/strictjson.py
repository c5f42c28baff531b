"""I-JSON (RFC 7493) from hostile bytes: UTF-8, no name twice in an object, no NaN, bounded in size and depth.

Python's reader recurses once for each bracket and keeps the last of two equal names; both are refused before or while
it reads, so that no two readers of one file can see different rules in it.
"""

import json
from typing import Any, NoReturn

from bastide.network.profile.mud.words import MUDRefused

MAX_BYTES = 1024 * 1024
"""The largest published file is under 40 kB; a megabyte leaves room for 5,000 entries."""
MAX_DEPTH = 24
"""RFC 8520 files nest 11 deep; TLS profiles somewhat more."""
_MAX_DIGITS = 20


def read_json(content: bytes) -> Any:
    """The value, or ``MUDRefused`` with a code of ``mud:json:*``."""
    if len(content) > MAX_BYTES:
        raise MUDRefused(f"The file has {len(content)} bytes; at most {MAX_BYTES} are read.", code="mud:json:too-large")
    try:
        text = content.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        raise MUDRefused(f"The file is not UTF-8 text (byte {error.start}).", code="mud:json:not-utf8") from error
    _check_depth(text)
    try:
        return json.loads(
            text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_float
        )
    except json.JSONDecodeError as error:
        raise MUDRefused(
            f"The file is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.", code="mud:json:syntax"
        ) from error


def _check_depth(text: str) -> None:
    depth, quoted, escaped = 0, False, False
    for sign in text:
        if quoted:
            if escaped:
                escaped = False
            elif sign == "\\":
                escaped = True
            elif sign == '"':
                quoted = False
        elif sign == '"':
            quoted = True
        elif sign in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise MUDRefused(f"The file is nested deeper than {MAX_DEPTH} levels.", code="mud:json:too-deep")
        elif sign in "]}":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise MUDRefused(f"The name {twice[:80]!r} stands twice in one object.", code="mud:json:duplicate-name")
    return found


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise MUDRefused("The file has a number that no field can hold.", code="mud:json:number")
    return int(digits)


def _float(text: str) -> NoReturn:
    raise MUDRefused(f"{text[:40]} is no number of a MUD file; all are whole.", code="mud:json:number")


def _constant(name: str) -> NoReturn:
    raise MUDRefused(f"{name} is not JSON.", code="mud:json:number")
