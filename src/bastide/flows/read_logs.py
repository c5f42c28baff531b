"""Read logs of other sensors: by windows, compressed or not, line by line, each within bounds."""

import zlib
from collections.abc import Iterator

from bastide.core.error import Unreadable
from bastide.flows.scan_captures import Progress
from bastide.network.traffic.logs import MAX_LINE, Logs, looks_like_log
from bastide.ports.network import Capture

HEAD = 4096
GZIP = b"\x1f\x8b"
MAX_PLAIN = 64 << 30
"""Octets of one log, unpacked."""


def is_log(capture: Capture) -> bool:
    """True where the file is a log that can be read, also where it is compressed (gzip)."""
    head = capture.window(0)[:HEAD].tobytes()
    if head.startswith(GZIP):
        try:
            head = zlib.decompressobj(31).decompress(head, HEAD)
        except zlib.error:
            return False
    return looks_like_log(head)


def read_logs(captures: list[Capture], logs: Logs, progress: Progress | None = None) -> None:
    """Feeds logs to ``logs``. Damage within one (a cut archive, an endless line) is counted, and the next one is read."""
    for capture in captures:
        logs.begin()
        pending = b""
        try:
            for piece in _pieces(capture, progress):
                *lines, pending = (pending + piece).split(b"\n")
                for line in lines:
                    logs.line(line)
                if len(pending) > MAX_LINE:
                    logs.unreadable["log line too long"] += 1
                    pending = b""
        except (zlib.error, EOFError, Unreadable):
            logs.unreadable["log archive damaged"] += 1
        logs.line(pending)


def _pieces(capture: Capture, progress: Progress | None) -> Iterator[bytes]:
    offset, unpacked, begun = 0, 0, False  # begun: a new member, of which nothing is there yet
    unpack = zlib.decompressobj(31) if capture.window(0)[:2].tobytes() == GZIP else None
    while offset < capture.size:
        window = capture.window(offset).tobytes()
        if not window:
            return  # the file became shorter while it was read
        offset += len(window)
        if unpack is None:
            yield window
        else:
            while window:
                piece = unpack.decompress(window, 1 << 20)
                unpacked += len(piece)
                if unpacked > MAX_PLAIN:
                    raise Unreadable("The log unpacks to more than 64 GiB.")
                yield piece
                window = unpack.unconsumed_tail
                begun = unpack.eof
                if unpack.eof:  # another member may follow
                    window, unpack = unpack.unused_data, zlib.decompressobj(31)
        if progress is not None:
            progress(capture.name, offset, capture.size)
    if unpack is not None and not (unpack.eof or begun):
        raise Unreadable("The archive ends before its end.")
