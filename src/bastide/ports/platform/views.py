"""Views of the table of devices that people keep: a name for a search, its filters, grouping and columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SavedView:
    """``person`` is the id of whoever keeps it, ``query`` the query string of the table's address. A ``shared`` one is
    offered to everybody; what it shows is what each may see."""

    person: str
    name: str
    query: str
    shared: bool
    saved_at: datetime


class ViewWrites(Protocol):
    def put(self, view: SavedView) -> None:
        """Keeps a view; one of the same person and name is replaced."""
        ...

    def remove(self, person: str, name: str) -> None:
        """Forgets a view; one that is not there is no error."""
        ...


class ViewReads(Protocol):
    async def of(self, person: str) -> Sequence[SavedView]:
        """A person's views and those that others share, by name; one's own first."""
        ...
