"""DuckDB as we run it: in memory, one thread, bounded, and locked into the samples folder.

It can neither fetch an extension nor read or write a file anywhere else, whatever a query says.
"""

from pathlib import Path
from typing import Any

import duckdb

ENGINE_ERRORS = (duckdb.Error, OSError)
IO_ERRORS = (duckdb.IOException, OSError)


def engine(folder: Path, memory_mib: int) -> Any:
    """A connection that can touch nothing but ``folder``."""
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
