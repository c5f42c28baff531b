"""The tree as tiles, and the proofs that are read from them (RFC 6962 2.1, c2sp.org/tlog-tiles).

- Tile ``n`` of level ``l`` holds, for ``i`` below 256, ``MTH(D[(n·256+i)·256^l : (n·256+i+1)·256^l])``: level 0 are leaf
  hashes, a hash of level ``l+1`` is the root of a *full* tile of level ``l``. The last tile of a level may be partial.
- A partial tile is the beginning of the tile that it becomes, so a tile as it is now serves every smaller tree too.
- Growing needs only the last tile of each level (:class:`Edge`); a proof in a tree of 10 million reads at most six.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from bastide.core.error import BastideError
from bastide.core.merkle import EMPTY_ROOT, HASH_BYTES, node_hash

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
TILE_BYTES = TILE_WIDTH * HASH_BYTES

TileReader = Callable[[int, int], bytes]
"""``(level, number)`` to the tile's hashes, one after the other; empty where there is none."""


class TileDamaged(BastideError):
    """A tile is missing or too short for the tree that it belongs to."""

    code = "audit:tile:damaged"


@dataclass(frozen=True, slots=True)
class Tile:
    """Up to 256 hashes in a row. ``path`` is its name as c2sp.org/tlog-tiles has it."""

    level: int
    number: int
    hashes: bytes

    @property
    def width(self) -> int:
        return len(self.hashes) // HASH_BYTES


@dataclass(frozen=True, slots=True)
class Edge:
    """The right edge of a tree: its size, and the partial last tile of each level, lowest first."""

    size: int = 0
    partial: tuple[bytes, ...] = ()

    @property
    def root(self) -> bytes:
        """The tree's root: the perfect subtrees that the size is made of, folded from the right."""
        peaks: list[bytes] = []
        for hashes in self.partial:
            peaks.extend(reversed(_peaks(hashes)))
        if not peaks:
            return EMPTY_ROOT
        root = peaks[0]
        for peak in peaks[1:]:
            root = node_hash(peak, root)
        return root


def grow(edge: Edge, leaves: Sequence[bytes]) -> tuple[Edge, list[Tile]]:
    """The edge after these leaf hashes, and every tile that is new or longer than before."""
    tiles: list[Tile] = []
    partial: list[bytes] = []
    fresh = b"".join(leaves)
    level, count = 0, edge.size
    while fresh or level < len(edge.partial):
        hashes = (edge.partial[level] if level < len(edge.partial) else b"") + fresh
        full = len(hashes) - len(hashes) % TILE_BYTES
        first = count >> TILE_HEIGHT
        whole = [hashes[at : at + TILE_BYTES] for at in range(0, full, TILE_BYTES)]
        tiles.extend(Tile(level, first + number, tile) for number, tile in enumerate(whole))
        if fresh and full < len(hashes):
            tiles.append(Tile(level, first + len(whole), hashes[full:]))
        partial.append(hashes[full:])
        fresh = b"".join(map(subtree_root, whole))
        level, count = level + 1, first
    return Edge(edge.size + len(leaves), tuple(partial)), tiles


def edge_of(size: int, tile: TileReader) -> Edge:
    """The right edge of the tree of ``size`` leaves, read from its tiles."""
    partial = []
    level, count = 0, size
    while count:
        width = count % TILE_WIDTH
        partial.append(_read(tile, level, count >> TILE_HEIGHT, 0, width) if width else b"")
        level, count = level + 1, count >> TILE_HEIGHT
    return Edge(size, tuple(partial))


def root_of(size: int, tile: TileReader) -> bytes:
    """The root of the tree of the first ``size`` leaves."""
    return edge_of(size, tile).root


def subtree_root(hashes: bytes) -> bytes:
    """The root over 1, 2, 4 … 256 hashes in a row."""
    while len(hashes) > HASH_BYTES:
        hashes = b"".join(
            [sha256(b"\x01" + hashes[at : at + 64]).digest() for at in range(0, len(hashes), 2 * HASH_BYTES)]
        )
    return hashes


def inclusion(index: int, size: int, tile: TileReader) -> list[bytes]:
    """The audit path of a leaf (RFC 6962 2.1.1)."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    read = remembering(tile)
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_range(middle, high, read))
            high = middle
        else:
            path.append(_range(low, middle, read))
            low = middle
    return path[::-1]


def consistency(old: int, new: int, tile: TileReader) -> list[bytes]:
    """The proof that the tree of ``new`` leaves begins with the tree of ``old`` (RFC 6962 2.1.2)."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} cannot extend one of {old}")
    if old in (0, new):
        return []
    read = remembering(tile)
    proof: list[bytes] = []
    low, high, whole = 0, new, True
    while high != old:
        middle = low + _split(high - low)
        if old <= middle:
            proof.append(_range(middle, high, read))
            high = middle
        else:
            proof.append(_range(low, middle, read))
            low, whole = middle, False
    if not whole:
        proof.append(_range(low, high, read))
    return proof[::-1]


def remembering(tile: TileReader, over: Iterable[Tile] = ()) -> TileReader:
    """Reads each tile once; those handed in stand in front of the stored ones."""
    seen = {(one.level, one.number): one.hashes for one in over}

    def read(level: int, number: int) -> bytes:
        if (level, number) not in seen:
            seen[level, number] = tile(level, number)
        return seen[level, number]

    return read


def _range(low: int, high: int, tile: TileReader) -> bytes:
    """MTH of the leaves from ``low`` to ``high``, where ``low`` is a multiple of the largest power of two that fits."""
    span = high - low
    if span & (span - 1) == 0:
        height = span.bit_length() - 1
        level, above = divmod(height, TILE_HEIGHT)
        first = low >> (level * TILE_HEIGHT)
        return subtree_root(_read(tile, level, first // TILE_WIDTH, first % TILE_WIDTH, 1 << above))
    middle = low + _split(span)
    return node_hash(_range(low, middle, tile), _range(middle, high, tile))


def _read(tile: TileReader, level: int, number: int, start: int, count: int) -> bytes:
    hashes = tile(level, number)[start * HASH_BYTES : (start + count) * HASH_BYTES]
    if len(hashes) != count * HASH_BYTES:
        raise TileDamaged(
            f"Tile {number} of level {level} is missing or too short: run `bastide audit verify` to see what else is."
        )
    return hashes


def _peaks(hashes: bytes) -> list[bytes]:
    """The perfect subtrees of a partial tile, largest (leftmost) first."""
    found, at, width = [], 0, len(hashes) // HASH_BYTES
    for bit in reversed(range(TILE_HEIGHT)):
        if width >> bit & 1:
            end = at + (HASH_BYTES << bit)
            found.append(subtree_root(hashes[at:end]))
            at = end
    return found


def _split(n: int) -> int:
    """The largest power of two below ``n`` (RFC 6962 2.1)."""
    return 1 << ((n - 1).bit_length() - 1)
