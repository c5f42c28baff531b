"""Lists and searches that people type."""

from bastide.operations.inventory.search import parse_query
from bastide.operations.inventory.sheet import read_sheet
from tests.fuzz import Target

TARGETS = [
    Target(
        "inventory-sheet",
        lambda data: read_sheet(data.decode(errors="replace")),
        (b"mac,name,owner\n00:11:22:33:44:55,gate,facilities\n", b'[{"mac": "00:11:22:33:44:55", "name": "x"}]'),
    ),
    Target(
        "inventory-search", lambda data: parse_query(data.decode(errors="replace")), (b'philips firmware:"1 9" -x:',)
    ),
]
