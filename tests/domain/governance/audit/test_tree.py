"""The tiled tree against the RFC's recursive definitions and the well-known roots of Certificate Transparency."""

import hashlib
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.core.merkle import EMPTY_ROOT, extends, includes, leaf_hash
from bastide.governance.audit.tree import (
    TILE_BYTES,
    Edge,
    Tile,
    TileDamaged,
    consistency,
    edge_of,
    grow,
    inclusion,
    root_of,
    subtree_root,
)
from tests.domain.governance.audit import reference

LARGEST = 1500  # two full tiles of level 0 more than four times over, and a partial tile of level 1

CT_LEAVES = [
    bytes.fromhex(leaf)
    for leaf in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


class Store:
    """Tiles in a dict; counts what was read."""

    def __init__(self) -> None:
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.reads = 0

    def keep(self, tiles: list[Tile]) -> None:
        for tile in tiles:
            self.tiles[tile.level, tile.number] = tile.hashes

    def __call__(self, level: int, number: int) -> bytes:
        self.reads += 1
        return self.tiles.get((level, number), b"")


def _records(count: int) -> list[bytes]:
    return [b"record %d" % number for number in range(count)]


@cache
def _grown() -> Store:
    store = Store()
    store.keep(grow(Edge(), [leaf_hash(record) for record in _records(LARGEST)])[1])
    return store


@pytest.mark.parametrize("size", range(1, 9))
def test_the_roots_are_those_that_certificate_transparency_publishes(size: int) -> None:
    edge, _ = grow(Edge(), [leaf_hash(leaf) for leaf in CT_LEAVES[:size]])
    assert edge.root.hex() == CT_ROOTS[size - 1]


def test_the_empty_tree_has_the_root_of_nothing() -> None:
    assert Edge().root == EMPTY_ROOT == reference.mth([])


@settings(deadline=None)
@given(st.lists(st.integers(0, 600), max_size=5))
def test_growing_in_any_steps_ends_in_the_root_of_the_rfc(steps: list[int]) -> None:
    records = _records(sum(steps))
    store, edge, done = Store(), Edge(), 0
    for step in steps:
        edge, tiles = grow(edge, [leaf_hash(record) for record in records[done : done + step]])
        store.keep(tiles)
        done += step
        assert edge == edge_of(done, store)
    assert edge.root == reference.mth(records)


@settings(deadline=None)
@given(st.integers(1, LARGEST), st.data())
def test_inclusion_proofs_agree_with_the_rfc_and_hold(size: int, data: st.DataObject) -> None:
    records = _records(size)
    index = data.draw(st.integers(0, size - 1))
    path = inclusion(index, size, _grown())
    assert path == reference.path(index, records)
    assert includes(leaf_hash(records[index]), index, size, path, reference.mth(records))


@settings(deadline=None)
@given(st.integers(0, LARGEST), st.data())
def test_consistency_proofs_agree_with_the_rfc_and_hold(new: int, data: st.DataObject) -> None:
    records = _records(new)
    old = data.draw(st.integers(0, new))
    proof = consistency(old, new, _grown())
    assert proof == reference.proof(old, records)
    assert extends(old, reference.mth(records[:old]), new, reference.mth(records), proof)


@settings(deadline=None)
@given(st.integers(0, LARGEST))
def test_the_tiles_of_a_tree_serve_every_smaller_tree(size: int) -> None:
    assert root_of(size, _grown()) == reference.mth(_records(size))


def test_tiles_are_cut_as_the_tile_specification_says() -> None:
    """Its own example: 70,000 leaves are 273 full tiles and one of 112, one full and one of 17, one of 1."""
    leaf = hashlib.sha256(b"\0").digest()
    edge, tiles = grow(Edge(), [leaf] * 70_000)
    cut = [(tile.level, tile.width) for tile in tiles]
    assert [cut.count((0, 256)), cut.count((0, 112)), cut.count((1, 256)), cut.count((1, 17)), cut.count((2, 1))] == [
        273,
        1,
        1,
        1,
        1,
    ]
    assert len(cut) == 277
    assert edge.partial[2] == subtree_root(tiles[274].hashes)


def test_a_proof_reads_few_tiles() -> None:
    leaf = hashlib.sha256(b"\0").digest()
    _, tiles = grow(Edge(), [leaf] * 70_000)
    store = Store()
    store.keep(tiles)
    inclusion(12_345, 70_000, store)
    assert store.reads <= 6


@pytest.mark.parametrize("damage", [b"", bytes(31), bytes(TILE_BYTES - 1)])
def test_a_short_or_missing_tile_is_named_and_never_guessed(damage: bytes) -> None:
    store = Store()
    store.tiles = {**_grown().tiles, (0, 2): damage}
    with pytest.raises(TileDamaged, match="Tile 2 of level 0"):
        inclusion(3 * 256 - 2, LARGEST, store)


def test_a_leaf_outside_the_tree_and_a_shrinking_tree_have_no_proof() -> None:
    with pytest.raises(ValueError):
        inclusion(5, 5, _grown())
    with pytest.raises(ValueError):
        consistency(6, 5, _grown())
