"""Deltas: a new image as what differs from the old one (zstd's *patch-from*: the old image is the dictionary).

Applied as a stream: what comes out is bounded by the size that the caller expects, and nothing of it is trusted before the whole
is verified where it was written (flows/on_device/update).
"""

from collections.abc import Iterable, Iterator
from math import ceil, log2

import zstandard

from bastide.core.error import Refused

MAX_WINDOW_LOG = 27
"""128 MiB: what a device must be able to hold of the old image."""


class DeltaRefused(Refused):
    """A delta that does not fit the image that it is applied to."""

    code = "release:delta:refused"


def make_delta(old: bytes, new: bytes, level: int = 19) -> bytes:
    """What makes ``new`` of ``old``."""
    window = min(max(ceil(log2(max(len(old), len(new), 1024) + 1)), 10), MAX_WINDOW_LOG)
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level, window_log=window, enable_ldm=True, write_content_size=True, source_size=len(new), dict_size=len(old)
    )
    dictionary = zstandard.ZstdCompressionDict(old, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdCompressor(dict_data=dictionary, compression_params=parameters).compress(new)


def apply_delta(old: bytes, delta: Iterable[bytes], most: int) -> Iterator[bytes]:
    """The new image in pieces. ``DeltaRefused`` where the delta is damaged, or gives more than ``most`` octets."""
    dictionary = zstandard.ZstdCompressionDict(old, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    unpacker = zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=1 << MAX_WINDOW_LOG).decompressobj()
    given = 0
    for piece in delta:
        try:
            made = unpacker.decompress(piece)
        except zstandard.ZstdError as error:
            raise DeltaRefused(f"The delta is damaged, or not for the image that this device runs: {error}") from error
        given += len(made)
        if given > most:
            raise DeltaRefused(f"The delta gives more than the {most:,} octets that were announced.")
        if made:
            yield made
        if unpacker.eof:
            return
    raise DeltaRefused("The delta is cut off.")
