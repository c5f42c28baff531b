"""Tells the story, one line an event: for people with the time and where to look, or as JSON for programs."""

import json
import sys
from collections.abc import Callable
from datetime import datetime
from typing import TextIO


class Narrator:
    """``now`` gives local time for people; ``base`` is the console's address."""

    def __init__(
        self, base: str, now: Callable[[], datetime], *, as_json: bool = False, out: TextIO = sys.stdout
    ) -> None:
        self._base = base
        self._now = now
        self._json = as_json
        self._out = out

    def tell(self, event: str, sentence: str, look: str = "", **facts: str | float | int | bool) -> None:
        """``event`` is the word for programs, ``look`` a path in the console, ``facts`` what else programs get."""
        at = self._now()
        if self._json:
            told = {"at": at.isoformat(), "event": event, "sentence": sentence, "look": self._base + look, **facts}
            line = json.dumps(told, ensure_ascii=False)
        else:
            line = f"demo {at:%H:%M:%S}  {sentence}" + (f"\n{'':15}see {self._base}{look}" if look else "")
        self._out.write(line + "\n")
        self._out.flush()
