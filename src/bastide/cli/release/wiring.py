"""The repository of releases, for the commands."""

from bastide.adapters.clock import SystemClock
from bastide.adapters.tuf.repository import Repository, as_json, new_key, read_key

__all__ = ["Repository", "SystemClock", "as_json", "new_key", "read_key"]
