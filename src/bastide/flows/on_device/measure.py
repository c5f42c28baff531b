"""What runs on a board, as it lies in its slot: what a device reports, and what a rollout takes for success."""

from dataclasses import dataclass
from hashlib import sha256

from bastide.device.boot.image import HEADER_BYTES
from bastide.device.boot.state import Trial
from bastide.flows.on_device.update import Board, image_in, state_of

_STEP = 65_536


@dataclass(frozen=True, slots=True)
class Measured:
    """``sha256`` is of the whole image, header and content, in hex; empty where the slot holds none that may run."""

    slot: int
    sha256: str
    on_trial: bool
    waits: bool
    """An image waits in the other slot to be tried at the next start."""


def measure(board: Board) -> Measured:
    """Reads the running slot from its first octet to its last."""
    state, _ = state_of(board)
    on_trial = state.trial is Trial.RUNNING
    slot = 1 - state.active if on_trial else state.active
    image = image_in(board, slot)
    found = ""
    if image is not None:
        digest, size = sha256(), HEADER_BYTES + image.size
        for at in range(0, size, _STEP):
            digest.update(board.images.read(slot * board.slot_bytes + at, min(_STEP, size - at)))
        found = digest.hexdigest()
    return Measured(slot, found, on_trial, state.trial is Trial.PENDING)
