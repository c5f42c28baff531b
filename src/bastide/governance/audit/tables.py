"""The whole ledger judged from its tables, with nothing believed that can be computed.

Every record's body is hashed again and held against its leaf hash and against the tile that it is in; every inner hash is
made again and held against the tiles; every checkpoint's signature and root are checked at its own size. Where two of
three agree about a record, the third is named; where somebody changed all of them, the first checkpoint that does not
hold names the records that it is about.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bastide.core.audit import Checkpoint
from bastide.core.error import BastideError
from bastide.core.merkle import EMPTY_ROOT, HASH_BYTES, leaf_hash, node_hash
from bastide.governance.audit.erasure import erased_by
from bastide.governance.audit.personal import Kept
from bastide.governance.audit.pruning import pruned_below
from bastide.governance.audit.record import MalformedRecord, Stored, commitments, read_record
from bastide.governance.audit.tree import TILE_HEIGHT, TILE_WIDTH, TileReader
from bastide.governance.audit.verdict import Verdict
from bastide.wire.checkpoint import open_checkpoint
from bastide.wire.note import VerifierKey


@dataclass(slots=True)
class TablesAudit:
    """Hand in shards, checkpoints, the sizes of other heads, then all records in order, then the rest; then :meth:`finish`.

    ``heads`` are roots that somebody else remembers, with who does, by size: they are checked on the way.
    """

    key: VerifierKey
    tile: TileReader
    heads: Mapping[int, Sequence[tuple[str, bytes]]] = field(default_factory=dict)
    verdict: Verdict = field(default_factory=Verdict)
    size: int = 0
    signing: list[tuple[int, Stored]] = field(default_factory=list)
    _opened: bool = False
    _next: int = 0
    _peaks: list[tuple[int, bytes]] = field(default_factory=list)
    _due: dict[int, bytes] = field(default_factory=dict)
    _good: int = 0
    _last_pruned: int = -1
    _pruned_below: int = 0
    _committed: dict[str, tuple[int, str]] = field(default_factory=dict)
    _erased: set[str] = field(default_factory=set)
    _kinds: set[str] = field(default_factory=set)
    _tiles: dict[int, tuple[int, bytes]] = field(default_factory=dict)

    def shards(self, rows: Sequence[tuple[object, ...]]) -> None:
        """``shard, origin, first, closed``."""
        expected = [(0, self.key.name, 0, None)]
        self._opened = bool(rows)
        if rows and list(rows) != expected:
            self.verdict.found(
                "ledger_shards", f"The ledger's shards are {list(rows)[:3]}, and {expected} was expected."
            )

    def checkpoints(self, rows: Iterable[tuple[object, ...]]) -> None:
        """``shard, size, root, note``, by size."""
        for shard, size, root, note in rows:
            self.verdict.checkpoints += 1
            place = size - 1 if isinstance(size, int) else None
            try:
                opened = open_checkpoint(note if isinstance(note, str) else "", self.key)
            except BastideError as wrong:
                self.verdict.found("ledger_checkpoints", f"The checkpoint of size {size}: {wrong.sentence}", place)
                if isinstance(size, int) and isinstance(root, bytes):
                    self.size = max(self.size, size)  # its root may still say what the tiles should lead to
                continue
            if (shard, size, root) != (0, opened.size, opened.root):
                sentence = f"The checkpoint of size {size} does not say what its signed note says ({opened.size})."
                self.verdict.found("ledger_checkpoints", sentence, place)
            self._due[opened.size] = opened.root
            if self.verdict.checkpoint is None or opened.size > self.verdict.checkpoint.size:
                self.verdict.checkpoint = Checkpoint(opened.origin, opened.size, opened.root, opened.note)
        if self.verdict.checkpoints and not self._opened:
            self.verdict.found("ledger_shards", "There are checkpoints, and no shard that they are of.")
        signed = self.verdict.checkpoint
        self.size = max(self._due, default=self.size) if signed is not None else self.size
        self._check_head(0)

    def record(self, position: object, leaf: object, body: object, keys: Sequence[object], expected: object) -> None:
        """One row, by position; ``expected`` makes the keys that a position and record have."""
        if not isinstance(position, int) or position < self._next:
            self.verdict.found(
                "ledger_records", f"The position {position!r} is not the next one, {self._next}.", self._next
            )
            return
        if position > self._next:
            last = position - 1
            sentence = (
                f"Records {self._next} to {last} are missing." if last > self._next else f"Record {last} is missing."
            )
            self.verdict.found("ledger_records", sentence, self._next)
            while self._next < min(position, self.size):
                self._push(self._entry(0, self._next) or bytes(HASH_BYTES))
            self._next = position
        self.verdict.records += 1
        stored = self._body(position, leaf, body)
        made = leaf_hash(body) if isinstance(body, bytes) else None
        known = leaf if isinstance(leaf, bytes) and len(leaf) == HASH_BYTES else None
        name = stored.id if stored is not None else None
        if position >= self.size:
            self.verdict.pending += 1
        else:
            entry = self._entry(0, position)
            if entry is not None and entry not in (made, known):
                sentence = f"The tile of level 0 that holds record {position} says another hash than the record has."
                self.verdict.found("ledger_tiles", sentence, position, name)
            elif entry is None:
                self.verdict.found("ledger_tiles", f"No tile holds record {position}.", position, name)
            made = entry if entry is not None and entry in (made, known) else made
        if stored is not None:
            if callable(expected) and tuple(keys) != tuple(expected(position, stored)):
                self.verdict.found("ledger_records", "The record's keys are not those of its text.", position, name)
            self._remember(position, stored)
        self._push(made or known or bytes(HASH_BYTES))

    def tiles(self, rows: Iterable[tuple[object, ...]]) -> None:
        """``shard, level, number, length in bytes`` of every tile, in any order."""
        wanted: dict[tuple[int, int], int] = {}
        level, count = 0, self.size
        while count:
            for number in range(-(-count // TILE_WIDTH)):
                wanted[level, number] = min(TILE_WIDTH, count - number * TILE_WIDTH) * HASH_BYTES
            level, count = level + 1, count >> TILE_HEIGHT
        for shard, level_, number_, length in rows:
            self.verdict.tiles += 1
            expected = wanted.pop((level_, number_), None) if shard == 0 else None  # type: ignore[arg-type]
            if expected != length:
                sentence = f"Tile {number_} of level {level_} has {length} bytes, and {expected or 0} were expected."
                self.verdict.found("ledger_tiles", sentence, _first(level_, number_))
        for level, number in list(wanted)[:10]:
            self.verdict.found("ledger_tiles", f"Tile {number} of level {level} is missing.", _first(level, number))

    def personal(self, rows: Iterable[tuple[object, ...]]) -> None:
        """``commitment, record, salt, value``."""
        kept: set[str] = set()
        for commitment, record, salt, value in rows:
            place, name = self._committed.get(str(commitment), (None, None))
            holds = (
                isinstance(commitment, str)
                and isinstance(salt, bytes)
                and isinstance(value, str)
                and Kept(commitment, salt, value).holds
            )
            if place is None or not holds or record != name or commitment in self._erased:
                named = name or (record if isinstance(record, str) else None)
                sentence = "A personal fact is not the one that its record commits to, or was said to be erased."
                self.verdict.found("ledger_personal", sentence, place, named)
            kept.add(str(commitment))
        for commitment, (place, name) in self._committed.items():
            if commitment in self._erased:
                self.verdict.erased += 1
            elif commitment not in kept:
                sentence = f"A personal fact is gone and no record says that it was erased ({commitment[:16]}…)."
                self.verdict.found("ledger_personal", sentence, place, name)

    def kinds(self, found: Iterable[object]) -> None:
        """Every kind of the table of kinds."""
        listed = set(found)
        if not listed >= self._kinds or (not self.verdict.pruned and listed != self._kinds):
            odd = sorted(str(kind) for kind in listed ^ self._kinds)[:5]
            self.verdict.found("ledger_kinds", f"The list of kinds is not that of the records: {', '.join(odd)}.")

    def finish(self) -> Verdict:
        if self._last_pruned >= self._pruned_below:
            sentence = f"The body of record {self._last_pruned} is gone, and no record says that it was pruned."
            self.verdict.found("ledger_records", sentence, self._last_pruned)
        for size in sorted({**self._due, **self.heads}):
            if size > self._next:
                sentence = (
                    f"A tree of {size} records was signed, and there are {self._next}: the database was set back."
                )
                self.verdict.found("ledger_checkpoints", sentence, self._next)
                break
        return self.verdict

    def _body(self, position: int, leaf: object, body: object) -> Stored | None:
        if body is None:
            self.verdict.pruned += 1
            self._last_pruned = position
            return None
        if not isinstance(body, bytes):
            self.verdict.found("ledger_records", f"The body of record {position} is not bytes.", position)
            return None
        stored: Stored | None = None
        try:
            stored = read_record(body)
        except MalformedRecord as wrong:
            self.verdict.found("ledger_records", f"Record {position}: {wrong.sentence}", position)
        if leaf_hash(body) != leaf:
            sentence = (
                f"The body of record {position} does not have the hash that stands beside it: one of them was changed."
            )
            self.verdict.found("ledger_records", sentence, position, stored.id if stored else None)
        return stored

    def _remember(self, position: int, stored: Stored) -> None:
        self._kinds.add(stored.kind)
        for commitment in commitments(stored):
            self._committed[commitment] = (position, stored.id)
        self._erased.update(erased_by(stored))
        if position < self.size:  # only what is signed excuses a body that is gone
            self._pruned_below = max(self._pruned_below, pruned_below(stored))
        if stored.kind.startswith("signing:"):
            self.signing.append((position, stored))

    def _push(self, leaf: bytes) -> None:
        index, height, node = self._next, 0, leaf
        while self._peaks and self._peaks[-1][0] == height:
            node = node_hash(self._peaks.pop()[1], node)
            height += 1
            if height % TILE_HEIGHT == 0 and index < self.size:
                self._check_inner(height // TILE_HEIGHT, index >> height, node)
        self._peaks.append((height, node))
        self._next += 1
        self._check_head(self._next)

    def _check_inner(self, level: int, index: int, node: bytes) -> None:
        if self._entry(level, index) != node:
            first, last = index << (TILE_HEIGHT * level), ((index + 1) << (TILE_HEIGHT * level)) - 1
            sentence = f"The tile of level {level} over records {first} to {last} does not say their hash."
            self.verdict.found("ledger_tiles", sentence, first)

    def _check_head(self, size: int) -> None:
        said = list(self.heads.get(size, ()))
        if size in self._due:
            said.append(("checkpoint", self._due[size]))
        if not said:
            return
        root = self._peaks[-1][1] if self._peaks else EMPTY_ROOT
        for _, peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        self.verdict.signatures += 1
        wrong = [who for who, claimed in said if claimed != root]
        if wrong:
            sentence = (
                f"The first {size} records do not lead to the root in the {' and the '.join(wrong)}: "
                f"one of records {self._good} to {size - 1} was changed."
            )
            self.verdict.found("ledger_checkpoints", sentence, self._good)
        else:
            self._good = size

    def _entry(self, level: int, index: int) -> bytes | None:
        number, place = divmod(index, TILE_WIDTH)
        if self._tiles.get(level, (None, b""))[0] != number:
            self._tiles[level] = (number, self.tile(level, number))
        hashes = self._tiles[level][1][place * HASH_BYTES : (place + 1) * HASH_BYTES]
        return hashes if len(hashes) == HASH_BYTES else None


def _first(level: object, number: object) -> int | None:
    """The first record under a tile."""
    if not isinstance(level, int) or not isinstance(number, int) or not 0 <= level < 8 or number < 0:
        return None
    return number << (TILE_HEIGHT * (level + 1))
