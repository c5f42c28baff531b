"""The adapters that commands use directly."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bastide.adapters.datadir.layout import DataDirectory, open_directory

__all__ = ["DataDirectory", "open_directory", "parse_captures"]


def parse_captures(
    paths: Sequence[Path], order: Mapping[str, Any], on_line: Callable[[dict[str, Any]], None] | None
) -> dict[str, Any]:
    """The sandboxed parser's report on captures. Their descriptors are opened here and closed again."""
    from bastide.adapters.capture.files import open_capture
    from bastide.adapters.sandbox.parser import parse

    opened: list[tuple[str, int]] = []
    try:
        for path in paths:
            opened.append((str(path), open_capture(path)))
        octets = sum(os.fstat(descriptor).st_size for _, descriptor in opened)
        return parse(opened, {"octets": octets, **order}, on_line)
    finally:
        for _, descriptor in opened:
            os.close(descriptor)
