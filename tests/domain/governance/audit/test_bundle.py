"""The bundle: checked with nothing but the public key, and whatever was changed in it is found and named."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.core.audit import Checkpoint, Personal
from bastide.core.merkle import leaf_hash
from bastide.governance.audit.bundle import (
    MAX_LINE_BYTES,
    Exported,
    NotABundle,
    check_bundle,
    checkpoint_in,
    write_bundle,
)
from bastide.governance.audit.record import plain, write_record
from bastide.governance.audit.tree import Edge, grow
from bastide.governance.audit.verdict import Verdict
from bastide.wire.checkpoint import head_text
from bastide.wire.note import VerifierKey, write_note
from tests.domain.governance.audit.test_record import AT, Salted

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = VerifierKey("bastide/test", PRIVATE.public_key().public_bytes_raw())


class Log:
    """A ledger in a list, with everything that a bundle is made of."""

    def __init__(self, size: int) -> None:
        self.salted = Salted()
        self.texts = [
            write_record(
                f"r-{number:020}", "test:made", f"device:d-{number % 3}", Personal("Ada") if number % 5 == 0 else "system",
                AT, plain({"number": number, "text": 'quote " and \\'}), 1, self.salted,
            )
            for number in range(size)
        ]  # fmt: skip
        edge, tiles = grow(Edge(), [leaf_hash(text) for text in self.texts])
        self.tiles = {(tile.level, tile.number): tile.hashes for tile in tiles}
        note = write_note(head_text(KEY.name, size, edge.root), KEY, PRIVATE.sign)
        self.checkpoint = Checkpoint(KEY.name, size, edge.root, note)

    def export(self, indexes: Iterable[int], selection: str, show: bool = False) -> list[bytes]:
        kept = tuple(self.salted.kept.values())
        records = [
            Exported(
                index,
                self.texts[index],
                leaf_hash(self.texts[index]),
                tuple(one for one in kept if show and one.commitment.encode() in self.texts[index]),
            )
            for index in indexes
        ]
        return list(write_bundle(self.checkpoint, 0, selection, records, self.tile))

    def tile(self, level: int, number: int) -> bytes:
        return self.tiles.get((level, number), b"")


SMALL = Log(11)
LARGE = Log(700)


def _named(verdict: Verdict) -> set[int | None]:
    return {problem.index for problem in verdict.problems}


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 513])
def test_a_whole_ledger_checks(size: int) -> None:
    log = Log(size)
    verdict = check_bundle(log.export(range(size), "all", show=True), KEY)
    assert verdict.good, verdict.problems[:3]
    assert (verdict.records, verdict.hidden, verdict.checkpoint) == (size, 0, log.checkpoint)


@settings(deadline=None, max_examples=40)
@given(st.sets(st.integers(0, 699), min_size=1, max_size=8))
def test_any_choice_of_records_checks(indexes: set[int]) -> None:
    lines = LARGE.export(sorted(indexes), "kind:test:")
    assert check_bundle(lines, KEY).good


def test_facts_that_are_not_shown_are_counted_and_break_nothing() -> None:
    verdict = check_bundle(SMALL.export(range(11), "all"), KEY)
    assert (verdict.good, verdict.hidden) == (True, 3)


def test_a_pruned_record_is_still_proved() -> None:
    pruned = Exported(4, None, leaf_hash(SMALL.texts[4]))
    verdict = check_bundle(write_bundle(SMALL.checkpoint, 0, "range:4-4", [pruned], SMALL.tile), KEY)
    assert (verdict.good, verdict.pruned) == (True, 1)


WHOLE = b"".join(SMALL.export(range(11), "all", show=True))


@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80])
def test_every_flipped_byte_is_found_and_in_a_record_the_record_is_named(flip: int) -> None:
    starts = [0]
    for text in WHOLE.splitlines(keepends=True):
        starts.append(starts[-1] + len(text))
    for position in range(len(WHOLE)):
        changed = bytearray(WHOLE)
        changed[position] ^= flip
        verdict = check_bundle(bytes(changed).splitlines(keepends=True), KEY)
        assert not verdict.good, (position, WHOLE[position - 20 : position + 20])
        line = next(number for number, start in enumerate(starts[1:]) if position < start)
        if 2 <= line < 13 and position < starts[line + 1] - 1:  # after header and block, before the end
            assert line - 2 in _named(verdict), (position, verdict.problems)


def test_a_forged_record_is_named_with_its_id() -> None:
    lines = LARGE.export(range(300, 400), "range:300-399")
    at = next(number for number, line in enumerate(lines) if b'"index":333' in line)
    lines[at] = lines[at].replace(b"test:made", b"test:fake")
    first = check_bundle(lines, KEY).problems[0]
    assert (first.index, first.record) == (333, "r-" + "333".zfill(20))


@pytest.mark.parametrize("without", [0, 1, 4, 12])
def test_a_line_left_out_of_a_complete_bundle_is_found(without: int) -> None:
    lines = SMALL.export(range(11), "all")
    assert not check_bundle(lines[:without] + lines[without + 1 :], KEY).good


def test_a_bundle_that_is_cut_and_closed_again_is_found_by_its_promise() -> None:
    verdict = check_bundle(SMALL.export(range(10), "all"), KEY)
    assert [problem.where for problem in verdict.problems] == ["end"]


def test_records_in_another_order_or_twice_are_found() -> None:
    lines = SMALL.export([3, 4], "range:3-4")
    assert not check_bundle([*lines[:2], lines[3], lines[2], lines[4]], KEY).good
    assert not check_bundle([*lines[:3], lines[2], *lines[3:]], KEY).good


def test_a_record_that_was_not_asked_for_is_found() -> None:
    assert not check_bundle(SMALL.export([0, 1], "subject:device:d-0"), KEY).good
    assert check_bundle(SMALL.export([0, 3], "subject:device:d-0"), KEY).good


def test_a_shown_fact_must_be_the_one_committed_to() -> None:
    lines = SMALL.export([0], "range:0-0", show=True)
    changed = [line.replace(b'"Ada"', b'"Eve"') for line in lines]
    assert _named(check_bundle(changed, KEY)) >= {0}


def test_another_key_proves_nothing() -> None:
    other = VerifierKey("bastide/test", Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw())
    verdict = check_bundle(SMALL.export(range(11), "all"), other)
    assert verdict.problems[0].where == "line 1"


def test_records_under_another_ledgers_checkpoint_are_all_named() -> None:
    lines = SMALL.export([2, 3], "range:2-3")
    other = Log(11)
    forged = replace(other.checkpoint, root=bytes(32))
    note = write_note(head_text(KEY.name, 11, forged.root), KEY, PRIVATE.sign)
    header = next(write_bundle(Checkpoint(KEY.name, 11, forged.root, note), 0, "range:2-3", [], SMALL.tile))
    assert not check_bundle([header, *lines[1:]], KEY).good


@pytest.mark.parametrize("lines", [[], [b"hello\n"], [b"\x00" * 100], [b"{}\n"], [b"x" * (MAX_LINE_BYTES + 1)]])
def test_a_file_that_is_no_bundle_is_said_to_be_none(lines: list[bytes]) -> None:
    with pytest.raises(NotABundle):
        check_bundle(lines, KEY)


def test_an_empty_bundle_proves_nothing() -> None:
    assert not check_bundle(write_bundle(SMALL.checkpoint, 0, "all", [], SMALL.tile), KEY).good


def _grown(old: int, new: int, since: int | None) -> tuple[Checkpoint, list[bytes]]:
    log = Log(new)
    one = Exported(0, log.texts[0], leaf_hash(log.texts[0]))
    return Log(old).checkpoint, list(write_bundle(log.checkpoint, 0, "range:0-0", [one], log.tile, since))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 300), st.integers(0, 300))
def test_a_bundle_shows_that_the_tree_only_grew_since_a_checkpoint_that_one_holds(old: int, more: int) -> None:
    held, lines = _grown(old, old + more, old)
    assert check_bundle(lines, KEY, held).good
    assert checkpoint_in((b"".join(lines)).decode(), KEY).size == old + more
    assert checkpoint_in(held.note, KEY) == held
    other = replace(held, root=bytes(32))
    assert "two stories" in check_bundle(lines, KEY, other).problems[0].sentence


def test_a_bundle_without_the_proof_of_growth_does_not_satisfy_who_holds_a_checkpoint() -> None:
    held, lines = _grown(5, 9, None)
    assert "--since" in check_bundle(lines, KEY, held).problems[0].sentence
    held, lines = _grown(5, 9, 4)
    assert not check_bundle(lines, KEY, held).good
    assert not check_bundle(SMALL.export([0], "range:0-0"), KEY, Log(40).checkpoint).good
