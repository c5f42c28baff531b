"""The adapters that commands use directly."""

from bastide.adapters.datadir.layout import DataDirectory, open_directory

__all__ = ["DataDirectory", "open_directory"]
