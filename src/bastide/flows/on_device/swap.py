"""One slot that runs and one beside it, swapped block by block over a spare block (as MCUboot's swap with scratch does).

For a microcontroller that starts code where it lies. Every step copies a block whose source no later step has touched yet, and is
marked when it is there to stay; after a cut the steps that are not marked are done again. Swapping back is the same walk again.

Per block: 0 spare <- second, 1 second <- first, 2 first <- spare.
"""

from dataclasses import dataclass
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bastide.device.boot.image import Image, ImageRefused, verify
from bastide.ports.device import Counter, Storage

STEPS = 3


class Mark(StrEnum):
    """What is written down, each into a page of its own: that a swap is wanted, that it is confirmed, that it goes back."""

    WANTED = "wanted"
    TRIED = "tried"
    CONFIRMED = "confirmed"


@dataclass(frozen=True, slots=True)
class SwapBoard:
    """``images``: first slot, second slot, spare block. ``marks``: pages that are written once and in their order."""

    images: Storage
    marks: Storage
    counter: Counter
    key: Ed25519PublicKey
    blocks: int
    hardware: int = 0

    @property
    def slot_bytes(self) -> int:
        return self.blocks * self.images.block_bytes


# The pages of the marks: first block the wishes, then a block of steps for the way there and one for the way back.
_WISHES = (Mark.WANTED, Mark.TRIED, Mark.CONFIRMED)
_SET = b"\xa5\x5a\xa5\x5a"


def _wish_at(board: SwapBoard, mark: Mark) -> int:
    return _WISHES.index(mark) * board.marks.page_bytes


def _steps_at(board: SwapBoard, back: bool) -> int:
    width = board.blocks * STEPS * board.marks.page_bytes
    whole = (width + board.marks.block_bytes - 1) // board.marks.block_bytes * board.marks.block_bytes
    return board.marks.block_bytes + (whole if back else 0)


def is_set(board: SwapBoard, at: int) -> bool:
    return board.marks.read(at, len(_SET)) == _SET


def mark(board: SwapBoard, at: int) -> None:
    board.marks.write(at, _SET)
    board.marks.flush()


def has(board: SwapBoard, which: Mark) -> bool:
    return is_set(board, _wish_at(board, which))


def image_in(board: SwapBoard, slot: int, counter: int | None = None) -> Image | None:
    """The image of a slot where it may be started."""
    base = slot * board.slot_bytes
    try:
        return verify(
            lambda at, count: board.images.read(base + at, count),
            board.slot_bytes,
            board.key,
            board.counter.value if counter is None else counter,
            board.hardware,
        )
    except ImageRefused:
        return None


def install(board: SwapBoard, content: bytes) -> Image:
    """Writes an image into the second slot, verifies it, clears the marks of the last swap and asks for a swap."""
    if has(board, Mark.WANTED) and not has(board, Mark.CONFIRMED) and not _is_back(board):
        raise ImageRefused("An update is on its way; let it confirm itself or go back before the next one.")
    if len(content) > board.slot_bytes:
        raise ImageRefused(f"The image is larger than the slot's {board.slot_bytes:,} octets.")
    # The old marks first: with them a cut would take the half-written slot for one to swap.
    for at in range(0, board.marks.size, board.marks.block_bytes):
        board.marks.erase(at)
    board.marks.flush()
    _fill(board, board.slot_bytes, content)
    image = image_in(board, 1)
    if image is None:
        raise ImageRefused(
            "What was written is no image that this device may start; it stays with the one that it has."
        )
    board.images.flush()
    mark(board, _wish_at(board, Mark.WANTED))
    return image


def start(board: SwapBoard) -> Image | None:
    """What the boot code does at power-on: finishes or undoes a swap, then gives the image of the first slot to start."""
    if has(board, Mark.WANTED) and not has(board, Mark.CONFIRMED):
        begun = is_set(board, _steps_at(board, back=False))
        if not has(board, Mark.TRIED):
            if begun or image_in(board, 1) is not None:
                _swap(board, back=False)
                mark(board, _wish_at(board, Mark.TRIED))
        else:
            # It was started and did not confirm itself.
            _swap(board, back=True)
    return image_in(board, 0)


def confirm(board: SwapBoard) -> None:
    """The image that runs stays; then the counter is raised."""
    if not has(board, Mark.TRIED) or is_set(board, _steps_at(board, back=True)):
        return
    mark(board, _wish_at(board, Mark.CONFIRMED))
    image = image_in(board, 0)
    if image is not None:
        board.counter.raise_to(image.counter)


def _is_back(board: SwapBoard) -> bool:
    """True where the way back was gone to its end."""
    last = board.blocks * STEPS - 1
    return is_set(board, _steps_at(board, back=True) + last * board.marks.page_bytes)


def _swap(board: SwapBoard, *, back: bool) -> None:
    """Does the steps that are not marked yet."""
    block, base = board.images.block_bytes, _steps_at(board, back)
    first, second, spare = 0, board.slot_bytes, 2 * board.slot_bytes
    for number in range(board.blocks):
        at = number * block
        ways = ((second + at, spare), (first + at, second + at), (spare, first + at))
        for step, (source, target) in enumerate(ways):
            place = base + (number * STEPS + step) * board.marks.page_bytes
            if is_set(board, place):
                continue
            _copy(board, source, target)
            board.images.flush()
            mark(board, place)


def _copy(board: SwapBoard, source: int, target: int) -> None:
    page = board.images.page_bytes
    board.images.erase(target)
    for at in range(0, board.images.block_bytes, page):
        board.images.write(target + at, board.images.read(source + at, page))


def _fill(board: SwapBoard, base: int, content: bytes) -> None:
    page, block = board.images.page_bytes, board.images.block_bytes
    for at in range(0, len(content), page):
        if at % block == 0:
            board.images.erase(base + at)
        board.images.write(base + at, content[at : at + page])
