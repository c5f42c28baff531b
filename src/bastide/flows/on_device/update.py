"""Two slots: an update goes into the one that does not run, is tried, and stays only when it confirms itself.

The order of writes and flushes is the promise. Each flush is there because taking it out loses something, which
tests/scenarios/test_power_cuts.py shows by taking each out.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bastide.core.error import Refused
from bastide.device.boot.image import Image, ImageRefused, verify
from bastide.device.boot.rules import Start, choose, confirmed, pending
from bastide.device.boot.state import RECORD_BYTES, BootState, Trial, newest
from bastide.ports.device import Counter, Storage


@dataclass(frozen=True, slots=True)
class Board:
    """A device's storage: ``images`` holds two slots of the same size, ``states`` two blocks with the boot record."""

    images: Storage
    states: Storage
    counter: Counter
    key: Ed25519PublicKey
    hardware: int = 0

    @property
    def slot_bytes(self) -> int:
        return self.images.size // 2


def state_of(board: Board) -> tuple[BootState, int]:
    """(the boot state, the place of the next record)."""
    block = board.states.block_bytes
    return newest((board.states.read(0, RECORD_BYTES), board.states.read(block, RECORD_BYTES)))


def keep(board: Board, state: BootState) -> None:
    """Makes a state the one that counts: over the older record, then flushed."""
    before, place = state_of(board)
    at = place * board.states.block_bytes
    board.states.erase(at)
    board.states.write(at, replace(state, number=before.number + 1).encode())
    board.states.flush()


def image_in(board: Board, slot: int) -> Image | None:
    """The image of a slot where it may be started."""
    base = slot * board.slot_bytes
    try:
        return verify(
            lambda at, count: board.images.read(base + at, count),
            board.slot_bytes,
            board.key,
            board.counter.value,
            board.hardware,
        )
    except ImageRefused:
        return None


def start(board: Board) -> Start:
    """What the boot code does at power-on: looks at both slots, keeps what it decided, and only then starts it."""
    state, _ = state_of(board)
    decided = choose(state, (image_in(board, 0) is not None, image_in(board, 1) is not None))
    if decided.state != state:
        keep(board, decided.state)
    return decided


def install(board: Board, content: Iterable[bytes]) -> Image:
    """Writes an image into the slot that does not run, verifies it there, and has it tried at the next start.

    When it returned, the next start tries it, whatever happens to the power. ``Refused`` while a trial runs.
    """
    state, _ = state_of(board)
    if state.trial is Trial.RUNNING:
        raise Refused("An update is on trial; let it confirm itself or be left before the next one.", code="boot:trial")
    other = 1 - state.active
    _write(board, other * board.slot_bytes, content)
    image = image_in(board, other)
    if image is None:
        raise ImageRefused(
            "What was written is no image that this device may start; it stays with the one that it has."
        )
    # Before anything says that there is something to try.
    board.images.flush()
    keep(board, pending(state_of(board)[0]))
    return image


def _write(board: Board, base: int, content: Iterable[bytes]) -> None:
    """Page by page, each block erased as it is reached."""
    page, block = board.images.page_bytes, board.images.block_bytes
    waiting, at = bytearray(), 0

    def put(part: bytes) -> None:
        nonlocal at
        if at + len(part) > board.slot_bytes:
            raise ImageRefused(f"The image is larger than the slot's {board.slot_bytes:,} octets.")
        if at % block == 0:
            board.images.erase(base + at)
        board.images.write(base + at, part)
        at += page

    for piece in content:
        waiting += piece
        while len(waiting) >= page:
            put(bytes(waiting[:page]))
            del waiting[:page]
    if waiting:
        put(bytes(waiting))


def confirm(board: Board) -> None:
    """The running trial stays: kept first, then the counter is raised, so that it never stands above what was confirmed."""
    state, _ = state_of(board)
    after = confirmed(state)
    if after != state:
        keep(board, after)
    image = image_in(board, after.active)
    if image is not None and after.trial is Trial.NONE:
        board.counter.raise_to(image.counter)
