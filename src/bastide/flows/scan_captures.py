"""Scan captures: every file through the fast path, the chosen payloads through the dissectors, then one report."""

from collections.abc import Callable, Iterable

from bastide.network.traffic.reading import HEAD, reader_of
from bastide.network.traffic.survey import CHUNK, Survey
from bastide.ports.network import Capture

Progress = Callable[[str, int, int], None]
"""Called after each window with the capture's name, the octets read of it, and its size."""


def scan_captures(captures: Iterable[Capture], survey: Survey, progress: Progress | None = None) -> None:
    """Feeds all captures to one survey. ``NotACapture`` where a file is none; damage within one is counted, not raised."""
    for capture in captures:
        reader = reader_of(capture.window(0)[:HEAD].tobytes(), capture.name)
        size = capture.size
        offset = reader.start
        while offset < size:
            buffer = capture.window(offset)
            if not len(buffer):
                break  # the file became shorter while it was read
            final = offset + len(buffer) >= size
            at = 0
            while True:
                rows, at = reader.index(buffer, at, len(buffer), final, survey.records, survey.reasons)
                if rows:
                    survey.absorb(buffer, rows)
                if rows < CHUNK:
                    break
            if at == 0:
                break  # nothing whole in a window: the reader has counted why
            offset += at
            if progress is not None:
                progress(capture.name, min(offset, size), size)
