"""The export bundle: records with their proofs under one signed checkpoint, in one file that anybody can check.

JSON lines, each in its canonical form (sorted members, no white space):

- the header: ``bundle`` (the mark), ``checkpoint`` (the signed note), ``form``, ``selection`` (what was asked for; ``all`` and
  ``range:A-B`` promise that nothing between is left out), ``shard``; where an older checkpoint was named, its size in ``since``
  and in ``consistency`` the proof that this one extends it (RFC 6962 2.1.2)
- for each block of 256 leaves that has a record here: ``block``, its ``root``, and the ``path`` from that root to the tree's
- after its block each record: ``index``, its text in ``record`` (or only its hash in ``leaf`` where it was pruned), the ``path``
  from leaf to block, and in ``personal`` salt and value of facts that were asked to be shown
- the end: ``count`` of records, and ``sha256`` over every byte before that line

A block is a subtree and the tree over blocks has the shape of RFC 6962 too, so both paths are checked by the same rule, and
a record that was changed is named exactly: its own path does not lead to its block.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain
from typing import Any

import msgspec

from bastide.core.audit import Checkpoint
from bastide.core.error import BastideError, Unreadable
from bastide.core.merkle import HASH_BYTES, extends, includes, leaf_hash, node_hash
from bastide.governance.audit.personal import Kept
from bastide.governance.audit.record import MalformedRecord, Stored, commitments, read_record
from bastide.governance.audit.tree import TILE_HEIGHT, TILE_WIDTH, TileReader, consistency, inclusion
from bastide.governance.audit.verdict import Verdict
from bastide.wire.checkpoint import open_checkpoint
from bastide.wire.note import VerifierKey

MARK = "bastide-audit"
FORM = 1
# The longest record (65,535 bytes), its JSON escapes and its personal facts.
MAX_LINE_BYTES = 1 << 20

_SELECTION = re.compile(r"all|range:(\d{1,18})-(\d{1,18})|(record|subject|kind):.{1,500}", re.DOTALL)
_INDEX = re.compile(rb'"index":(\d{1,18})')
_ID = re.compile(rb'\\"id\\":\\"([^"\\]{1,80})\\"')


class NotABundle(Unreadable):
    """The file is no audit bundle at all."""

    code = "audit:bundle:unreadable"


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class _Header(_Line, frozen=True):
    bundle: str
    checkpoint: str
    form: int
    selection: str
    shard: int
    consistency: list[str] | None = None
    since: int | None = None


class _Block(_Line, frozen=True):
    block: int
    path: list[str]
    root: str


class _Entry(_Line, frozen=True):
    index: int
    path: list[str]
    leaf: str | None = None
    personal: dict[str, tuple[str, str]] | None = None
    record: str | None = None


class _End(_Line, frozen=True):
    count: int
    sha256: str


_encoder = msgspec.json.Encoder(order="sorted")
# By the beginning of a line: its first member tells what it is.
_decoders: dict[bytes, msgspec.json.Decoder[_Line]] = {
    b'{"bun': msgspec.json.Decoder(_Header),
    b'{"blo': msgspec.json.Decoder(_Block),
    b'{"ind': msgspec.json.Decoder(_Entry),
    b'{"cou': msgspec.json.Decoder(_End),
}


@dataclass(frozen=True, slots=True)
class Exported:
    """One record to export. ``text`` is None where its body was pruned."""

    index: int
    text: bytes | None
    leaf: bytes
    personal: tuple[Kept, ...] = ()


def write_bundle(
    checkpoint: Checkpoint,
    shard: int,
    selection: str,
    records: Iterable[Exported],
    tile: TileReader,
    since: int | None = None,
) -> Iterator[bytes]:
    """The lines of a bundle over records in ascending order of index, all below the checkpoint's size.

    With ``since``, the size of an older checkpoint, it also shows that the tree has only grown since.
    """
    header = _Header(MARK, checkpoint.note, FORM, selection, shard)
    if since is not None:
        proof = [step.hex() for step in consistency(since, checkpoint.size, tile)]
        header = _Header(MARK, checkpoint.note, FORM, selection, shard, proof, since)
    digest = sha256()
    count = 0
    for line in chain((header,), _lines(checkpoint, records, tile)):
        encoded = _encoder.encode(line) + b"\n"
        digest.update(encoded)
        count += isinstance(line, _Entry)
        yield encoded
    yield _encoder.encode(_End(count, digest.hexdigest())) + b"\n"


def _lines(checkpoint: Checkpoint, records: Iterable[Exported], tile: TileReader) -> Iterator[_Line]:
    block: _Subtree | None = None
    for one in records:
        number = one.index >> TILE_HEIGHT
        if block is None or block.number != number:
            first = number << TILE_HEIGHT
            size = min(TILE_WIDTH, checkpoint.size - first)
            block = _Subtree(number, tile(0, number)[: size * HASH_BYTES])
            # Of the path of the block's first leaf, what lies above the block.
            above = inclusion(first, checkpoint.size, tile)[(size - 1).bit_length() :]
            yield _Block(number, [step.hex() for step in above], block.root.hex())
        path = [step.hex() for step in block.path(one.index % TILE_WIDTH)]
        shown = {kept.commitment: (kept.salt.hex(), kept.value) for kept in one.personal} or None
        if one.text is None:
            yield _Entry(one.index, path, leaf=one.leaf.hex())
        else:
            yield _Entry(one.index, path, personal=shown, record=one.text.decode())


class _Subtree:
    """The tree over one block's leaf hashes; each inner hash is made once."""

    def __init__(self, number: int, hashes: bytes) -> None:
        self.number = number
        self._size = len(hashes) // HASH_BYTES
        self._made = {(at, at + 1): hashes[at * HASH_BYTES : (at + 1) * HASH_BYTES] for at in range(self._size)}
        self.root = self._range(0, self._size)

    def path(self, index: int) -> list[bytes]:
        low, high, path = 0, self._size, []
        while high - low > 1:
            middle = low + (1 << ((high - low - 1).bit_length() - 1))
            if index < middle:
                path.append(self._range(middle, high))
                high = middle
            else:
                path.append(self._range(low, middle))
                low = middle
        return path[::-1]

    def _range(self, low: int, high: int) -> bytes:
        if (low, high) not in self._made:
            middle = low + (1 << ((high - low - 1).bit_length() - 1))
            self._made[low, high] = node_hash(self._range(low, middle), self._range(middle, high))
        return self._made[low, high]


def check_bundle(lines: Iterable[bytes], key: VerifierKey, held: Checkpoint | None = None) -> Verdict:
    """Checks a bundle with nothing but the public key. Never raises for what is wrong in a bundle: the verdict names it.

    With ``held``, a checkpoint from before, the bundle must show that its tree extends that one. ``NotABundle`` where no line
    is one of a bundle, so that a wrong file is not taken for a forged one.
    """
    check = _Check(key, held)
    for number, line in enumerate(lines, 1):
        check.line(number, line)
    return check.finish()


@dataclass(slots=True)
class _Check:
    key: VerifierKey
    held: Checkpoint | None = None
    verdict: Verdict = field(default_factory=Verdict)
    understood: int = 0
    count: int = 0
    expected: int | None = None
    header: _Header | None = None
    block: _Block | None = None
    block_holds: bool = False
    ended: bool = False
    digest: Any = field(default_factory=sha256)

    def line(self, number: int, raw: bytes) -> None:
        where = f"line {number}"
        if self.ended:
            self.verdict.found(where, "There is more after the end of the bundle: remove it.")
            return
        parsed = _parse(raw)
        if not isinstance(parsed, _End):
            self.digest.update(raw)
        if parsed is None:
            self._damaged(where, raw)
            return
        self.understood += 1
        if (number == 1) != isinstance(parsed, _Header):
            self.verdict.found(where, "The header must be the first line, and only there.")
        match parsed:
            case _Header():
                self._header(where, parsed)
            case _Block():
                self._block(where, parsed)
            case _Entry():
                self._entry(where, parsed)
            case _End():
                self.ended = True
                if parsed.sha256 != self.digest.hexdigest() or parsed.count != self.count:
                    self.verdict.found(
                        where,
                        f"The end says {parsed.count} records and another digest; {self.count} came before it: "
                        "the bundle was changed or cut. Ask for it again.",
                    )

    def finish(self) -> Verdict:
        if not self.understood:
            raise NotABundle("This is not an audit bundle: no line of it is one that `bastide audit export` writes.")
        if not self.ended:
            self.verdict.found("end", "The bundle has no end line: it was cut off. Ask for it again.")
        if self.header is None:
            self.verdict.found("line 1", "The bundle has no header that holds, so nothing in it is proved.")
        elif not self.count:
            self.verdict.found("end", "The bundle holds no record.")
        else:
            self._complete()
        return self.verdict

    def _damaged(self, where: str, raw: bytes) -> None:
        index = _INDEX.search(raw)
        named = _ID.search(raw)
        place = int(index[1]) if index and not self._promise else self.expected
        self.verdict.found(
            where,
            "The line is not in the form of a bundle: it was changed. Ask for the bundle again.",
            place,
            named[1].decode("ascii", "replace") if named else None,
        )
        if place is not None and raw.startswith(b'{"i'):
            self.expected = place + 1

    def _header(self, where: str, header: _Header) -> None:
        try:
            if header.bundle != MARK or header.form != FORM or header.shard < 0:
                raise Unreadable(f"This release reads bundles of form {FORM}.")
            if not _SELECTION.fullmatch(header.selection):
                raise Unreadable("The header does not say what was selected.")
            self.verdict.checkpoint = open_checkpoint(header.checkpoint, self.key)
        except BastideError as wrong:
            self.verdict.found(where, f"The header does not hold: {wrong.sentence}")
            return
        self.header = header
        self._grown(where, header, self.verdict.checkpoint)
        self.expected = self._promise[0] if self._promise else None

    def _grown(self, where: str, header: _Header, now: Checkpoint) -> None:
        held = self.held
        if held is None:
            return
        proof = _hashes(header.consistency or [])
        if held.size != now.size and header.since != held.size:
            sentence = (
                f"The bundle does not show that it extends your checkpoint of {held.size}: ask for one with --since."
            )
        elif proof is None or not extends(
            held.size, held.root, now.size, now.root, proof if held.size != now.size else []
        ):
            sentence = (
                f"The tree of {now.size} records does not extend your checkpoint of {held.size}: "
                "the ledger was set back, or tells two stories."
            )
        else:
            return
        self.verdict.found(where, sentence)

    def _block(self, where: str, block: _Block) -> None:
        self.block, self.block_holds = block, False
        checkpoint = self.verdict.checkpoint
        if checkpoint is None:
            return
        root, path = _hash(block.root), _hashes(block.path)
        blocks = -(-checkpoint.size // TILE_WIDTH)
        first = block.block << TILE_HEIGHT if 0 <= block.block < blocks else 0
        if root is None or path is None or not includes(root, block.block, blocks, path, checkpoint.root):
            self.verdict.found(
                where,
                f"Block {block.block} does not lead to the checkpoint, so none of its records from {first} on is proved.",
                first,
            )
            return
        self.block_holds = True

    def _entry(self, where: str, entry: _Entry) -> None:
        self.count += 1
        self.verdict.records += 1
        named: str | None = None
        stored: Stored | None = None
        text = None if entry.record is None else entry.record.encode()
        if text is not None:
            try:
                stored = read_record(text)
                named = stored.id
            except MalformedRecord:
                found = _ID.search(_encoder.encode(entry.record))
                named = found[1].decode("ascii", "replace") if found else None
        if self.expected is not None and entry.index != self.expected:
            if entry.index < self.expected and self.count > 1:
                self.verdict.found(where, "The records are not in their order.", entry.index, named)
            elif self._promise:
                missing = f"Records {self.expected} to {entry.index - 1} are missing"
                self.verdict.found(where, f"{missing} although the bundle says that it is complete.", self.expected)
        self.expected = entry.index + 1
        if not self._proved(entry, text):
            self.verdict.found(
                where, "The record is not the one that is in the tree: it was changed.", entry.index, named
            )
            return
        if text is None:
            self.verdict.pruned += 1
        elif stored is None:
            self.verdict.found(
                where, "The record is in the tree, but not in a form that this release reads.", entry.index
            )
        else:
            self._agrees(where, entry, stored)

    def _proved(self, entry: _Entry, text: bytes | None) -> bool:
        checkpoint, block = self.verdict.checkpoint, self.block
        if checkpoint is None or not self.block_holds or block is None:
            return checkpoint is None or (block is not None and block.block == entry.index >> TILE_HEIGHT)
        leaf = leaf_hash(text) if text is not None else _hash(entry.leaf or "")
        path, root = _hashes(entry.path), _hash(block.root)
        size = min(TILE_WIDTH, checkpoint.size - (block.block << TILE_HEIGHT))
        return (
            entry.index >> TILE_HEIGHT == block.block
            and (text is None) == (entry.leaf is not None)
            and leaf is not None
            and path is not None
            and root is not None
            and includes(leaf, entry.index % TILE_WIDTH, size, path, root)
        )

    def _agrees(self, where: str, entry: _Entry, stored: Stored) -> None:
        if self.header is not None:
            what, _, value = self.header.selection.partition(":")
            kept = {
                "record": stored.id == value,
                "subject": stored.subject == value,
                "kind": stored.kind.startswith(value),
            }
            if not kept.get(what, True):
                self.verdict.found(where, f"The record is not one of {what} {value!r}.", entry.index, stored.id)
        inside = set(commitments(stored))
        for commitment, (salt, value) in (entry.personal or {}).items():
            try:
                holds = commitment in inside and Kept(commitment, bytes.fromhex(salt), value).holds
            except ValueError:
                holds = False
            if not holds:
                sentence = "A personal fact that is shown is not the one that the record commits to."
                self.verdict.found(where, sentence, entry.index, stored.id)
        self.verdict.hidden += len(inside) - len(entry.personal or {})

    @property
    def _promise(self) -> tuple[int, int] | None:
        """First and last of the records of which the header says that none is left out."""
        checkpoint, header = self.verdict.checkpoint, self.header
        if checkpoint is None or header is None:
            return None
        asked = _SELECTION.fullmatch(header.selection)
        if asked is not None and asked[1] is not None:
            return int(asked[1]), int(asked[2])
        return (0, checkpoint.size - 1) if header.selection == "all" else None

    def _complete(self) -> None:
        if self._promise is None or self.expected is None:
            return
        first, last = self._promise
        if self.expected != last + 1 or self.count != last - first + 1:
            self.verdict.found(
                "end",
                f"The bundle promises records {first} to {last}; {self.count} came, the last was {self.expected - 1}.",
            )


def checkpoint_in(text: str, key: VerifierKey) -> Checkpoint:
    """The checkpoint that a file holds: a signed note, or the first line of a bundle."""
    first = text.partition("\n")[0]
    header = _parse(first.encode() + b"\n") if first.startswith('{"bundle"') else None
    return open_checkpoint(header.checkpoint if isinstance(header, _Header) else text, key)


def _parse(raw: bytes) -> _Line | None:
    if len(raw) > MAX_LINE_BYTES or not raw.endswith(b"\n"):
        return None
    decoder = _decoders.get(raw[:5])
    if decoder is None:
        return None
    try:
        parsed = decoder.decode(raw[:-1])
        return parsed if _encoder.encode(parsed) == raw[:-1] else None
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return None


def _hash(text: str) -> bytes | None:
    try:
        decoded = bytes.fromhex(text)
    except ValueError:
        return None
    return decoded if len(decoded) == HASH_BYTES and decoded.hex() == text else None


def _hashes(texts: list[str]) -> list[bytes] | None:
    found = [_hash(text) for text in texts[:65]]
    return [one for one in found if one is not None] if None not in found else None


def revealed(stored: Stored, kept: Mapping[str, Kept]) -> tuple[Kept, ...]:
    """Of the facts that are still kept, those that the record commits to."""
    return tuple(kept[commitment] for commitment in commitments(stored) if commitment in kept)
