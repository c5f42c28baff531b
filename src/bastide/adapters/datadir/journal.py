"""Reads the signer's journal for an audit: every line of every file, each held against the chain. Changes nothing."""

import re
from collections.abc import Iterator
from pathlib import Path

from bastide.wire.journal import GENESIS, Entry, JournalDamaged, read_lines, torn_tail

_NAME = re.compile(r"journal(\.\d{8})?\.log")


def journal_files(folder: Path) -> list[Path]:
    """The files of the journal, oldest first."""
    found = [path for path in folder.glob("journal*.log") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: (path.name == "journal.log", path.name))


def journal_entries(folder: Path) -> Iterator[Entry]:
    """The entries, oldest first. ``JournalDamaged`` where a line does not follow from the one before it.

    The signer may be at work: half a line at the very end is left out, as the signer itself does.
    """
    follows, number = GENESIS, 0
    files = journal_files(folder)
    for place, path in enumerate(files):
        data = path.read_bytes()
        for line in read_lines(data, follows, number, path.name):
            follows, number = line.hash, line.entry.n
            yield line.entry
        if torn_tail(data, follows, path.name, number) and place < len(files) - 1:
            raise JournalDamaged(f"The closed journal {path.name} ends in half a line. Restore it from a backup.")
