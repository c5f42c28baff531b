"""DuckDB as we run it: in memory, one thread, bounded, and locked into the samples folder.

It can neither fetch an extension nor read or write a file anywhere else, whatever a query says.
"""

from pathlib import Path
from typing import Any

# DuckDB takes a sixth of the memory of an idle Bastide, so it is loaded with the first engine and not before.


def engine(folder: Path, memory_mib: int) -> Any:
    """A connection that can touch nothing but ``folder``."""
    import duckdb

    connection = duckdb.connect(":memory:")
    quoted = str(folder.resolve()).replace("'", "''")
    for setting in (
        f"memory_limit='{memory_mib}MiB'",
        "threads=1",
        "preserve_insertion_order=false",
        f"temp_directory='{quoted}/.spill'",
        "max_temp_directory_size='2GiB'",
        "autoinstall_known_extensions=false",
        "autoload_known_extensions=false",
        "allow_community_extensions=false",
        f"allowed_directories=['{quoted}/']",
        "enable_external_access=false",
        "lock_configuration=true",
    ):
        connection.execute(f"SET {setting}")
    return connection


def engine_errors() -> tuple[type[Exception], ...]:
    """What an engine raises."""
    import duckdb

    return duckdb.Error, OSError


def io_errors() -> tuple[type[Exception], ...]:
    """What an engine raises where a file went away under it."""
    import duckdb

    return duckdb.IOException, OSError
