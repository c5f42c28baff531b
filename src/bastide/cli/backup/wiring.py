"""Backups, for the commands."""

from bastide.adapters.clock import SystemClock
from bastide.adapters.datadir.backup import Backup, look, restore, take
from bastide.adapters.datadir.layout import DataDirectory

__all__ = ["Backup", "DataDirectory", "SystemClock", "look", "restore", "take"]
