"""The verifier against the definitions of RFC 6962 section 2.1, written down here a second time, recursively."""

from collections.abc import Sequence
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from bastide.core.merkle import EMPTY_ROOT, extends, includes, leaf_hash, node_hash


def _split(n: int) -> int:
    return 1 << ((n - 1).bit_length() - 1)


def root(leaves: Sequence[bytes]) -> bytes:
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = _split(len(leaves))
    return sha256(b"\x01" + root(leaves[:k]) + root(leaves[k:])).digest()


def path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    if len(leaves) <= 1:
        return []
    k = _split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), root(leaves[k:])]
    return [*path(m - k, leaves[k:]), root(leaves[:k])]


def consistency(m: int, leaves: Sequence[bytes], whole: bool = True) -> list[bytes]:
    n = len(leaves)
    if m == n:
        return [] if whole else [root(leaves)]
    k = _split(n)
    if m <= k:
        return [*consistency(m, leaves[:k], whole), root(leaves[k:])]
    return [*consistency(m - k, leaves[k:], False), root(leaves[:k])]


def _records(count: int) -> list[bytes]:
    return [b"record %d" % index for index in range(count)]


def test_the_empty_tree_and_the_two_prefixes_are_those_of_the_rfc() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert node_hash(leaf_hash(b""), leaf_hash(b"\x00")).hex() == (
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    )


@given(st.integers(1, 130), st.data())
def test_every_record_is_proved_and_no_other_is(size: int, data: st.DataObject) -> None:
    records = _records(size)
    index = data.draw(st.integers(0, size - 1))
    proof = path(index, records)
    assert includes(leaf_hash(records[index]), index, size, proof, root(records))
    assert not includes(leaf_hash(b"another"), index, size, proof, root(records))
    assert not includes(leaf_hash(records[index]), index, size, [*proof, bytes(32)], root(records))
    assert not includes(leaf_hash(records[index]), size, size, proof, root(records))
    if size > 1:
        assert not includes(leaf_hash(records[index]), (index + 1) % size, size, proof, root(records))


@given(st.integers(1, 130), st.data())
def test_a_tree_extends_each_of_its_beginnings(size: int, data: st.DataObject) -> None:
    records = _records(size)
    old = data.draw(st.integers(1, size))
    proof = consistency(old, records)
    assert extends(old, root(records[:old]), size, root(records), proof)
    assert extends(0, EMPTY_ROOT, size, root(records), [])


@given(st.integers(2, 130), st.data())
def test_a_changed_past_is_not_an_extension(size: int, data: st.DataObject) -> None:
    records = _records(size)
    old = data.draw(st.integers(1, size - 1))
    changed = list(records)
    changed[data.draw(st.integers(0, old - 1))] = b"forged"
    proof = consistency(old, changed)
    assert not extends(old, root(records[:old]), size, root(changed), proof)
    assert not extends(old, root(records[:old]), size, root(changed), consistency(old, records))


@given(st.integers(2, 130), st.data())
def test_a_proof_with_one_flipped_bit_or_a_missing_hash_proves_nothing(size: int, data: st.DataObject) -> None:
    records = _records(size)
    old = data.draw(st.integers(1, size - 1))
    proof = consistency(old, records)
    at = data.draw(st.integers(0, len(proof) - 1))
    bit = data.draw(st.integers(0, 255))
    flipped = (int.from_bytes(proof[at], "big") ^ (1 << bit)).to_bytes(32, "big")
    assert not extends(old, root(records[:old]), size, root(records), [*proof[:at], flipped, *proof[at + 1 :]])
    assert not extends(old, root(records[:old]), size, root(records), [*proof[:at], *proof[at + 1 :]])
    assert not extends(old, root(records[:old]), size, root(records), [*proof, bytes(32)])


def test_a_smaller_tree_another_root_of_the_same_size_and_odd_hashes_are_refused() -> None:
    records = _records(5)
    assert not extends(5, root(records), 4, root(records[:4]), [])
    assert not extends(5, root(records), 5, root([*records[:4], b"forged"]), [])
    assert not extends(5, root(records), 5, root(records), [bytes(32)])
    assert not extends(3, root(records[:3]), 5, root(records), [b"short"])
    assert not extends(0, bytes(32), 5, root(records), [])
