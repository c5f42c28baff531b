"""Removing what is old, so that every table has a bound."""

from datetime import datetime
from typing import Protocol


class Housekeeping(Protocol):
    """Each method removes some rows that are older than ``before`` and that nothing needs; gives how many, 0 when done."""

    async def evidence(self, before: datetime) -> int: ...

    async def decisions(self, before: datetime) -> int: ...

    async def conversations(self, before: datetime) -> int: ...
