"""The power goes at every write of every kind of update: a device comes up with a good image, and nothing is half done.

One *cut* is (kind of update, number of the write or erasure, what becomes of the caches, seed). After it the device is switched
on again and lives on until nothing changes any more. It fails where

- a start finds no good image, or starts one that is not signed, or one below the counter;
- the counter stands above what was confirmed;
- an update that had been handed over before the cut is lost although it is healthy;
- a sick update, which never confirms itself, is what the device ends with.

Other tests take each flush, and the two-place record, out of the code: each time the sweep must fail, or it proves nothing.
"""

import ast
import contextlib
import inspect
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from types import ModuleType

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastide.device.boot.image import HEADER_BYTES, ImageRefused, make_image, read_header
from bastide.device.boot.rules import TRIES, choose
from bastide.device.boot.state import BootState, Trial, decode, newest
from bastide.device.release.delta import DeltaRefused, apply_delta, make_delta
from bastide.flows.on_device import swap, update
from bastide.testing.flash import Flash, Fuses, Mode, Power, PowerCut

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
BOOTS = 12


def content(seed: int, size: int) -> bytes:
    return Random(seed).randbytes(size)


@dataclass(frozen=True)
class Scale:
    """How large images and their flash are."""

    old: bytes
    new: bytes
    block: int
    page: int

    @property
    def blocks(self) -> int:
        """Of a slot."""
        return max(len(self.old), len(self.new)) // self.block + 1


def scale(size: int, block: int, page: int) -> Scale:
    """The new image shares most of its content with the old one."""
    old = make_image(content(1, size), 1, KEY)
    return Scale(old, make_image(content(1, size * 2 // 3) + content(2, size // 2), 2, KEY), block, page)


SMALL = scale(1500, 1024, 256)
LARGE = scale(20_000, 2048, 128)


class Failed(AssertionError):
    """What a cut did that it may not."""


@dataclass
class Rig:
    """A device and how it is updated. ``is_spent`` where an update has one try only and it was used: then it may go back."""

    power: Power
    of: Scale
    fuses: Fuses
    install: Callable[[], None]
    start: Callable[[], bytes]
    confirm: Callable[[], None]
    is_confirmed: Callable[[], bool]
    is_spent: Callable[[], bool] = lambda: False


def ab(power: Power, code: ModuleType, of: Scale, *, delta: bool) -> Rig:
    images, states = Flash(power, 2 * of.blocks, of.block, of.page), Flash(power, 2, of.block, of.page)
    fuses = Fuses(power, 1)
    board = code.Board(images, states, fuses, KEY.public_key())
    code._write(board, 0, [of.old])
    images.flush()
    power.writes = 0
    packed = make_delta(of.old, of.new) if delta else b""

    def install() -> None:
        if delta:
            running = board.images.read(code.state_of(board)[0].active * board.slot_bytes, len(of.old))
            pieces = [packed[at : at + 300] for at in range(0, len(packed), 300)]
            code.install(board, apply_delta(running, pieces, len(of.new)))
        else:
            code.install(board, [of.new[at : at + 700] for at in range(0, len(of.new), 700)])

    def start() -> bytes:
        decided = code.start(board)
        if decided.slot is None:
            raise Failed("nothing can be started")
        return images.read(decided.slot * board.slot_bytes, board.slot_bytes)

    def is_confirmed() -> bool:
        state = code.state_of(board)[0]
        return state.active == 1 and state.trial is Trial.NONE

    return Rig(power, of, fuses, install, start, lambda: code.confirm(board), is_confirmed)


def swapped(power: Power, code: ModuleType, of: Scale) -> Rig:
    """A device that was updated before: all marks of the last swap are still set."""
    steps = of.blocks * 3 * of.page
    images = Flash(power, 2 * of.blocks + 1, of.block, of.page)
    marks = Flash(power, 1 + 2 * -(-steps // of.block), of.block, of.page)
    fuses = Fuses(power, 1)
    board = code.SwapBoard(images, marks, fuses, KEY.public_key(), of.blocks)
    code._fill(board, 0, of.old)
    images.flush()
    for at in range(0, marks.size, of.page):
        code.mark(board, at)
    marks.flush()
    power.writes = 0

    def install() -> None:
        code.install(board, of.new)

    def start() -> bytes:
        if code.start(board) is None:
            raise Failed("nothing can be started")
        return images.read(0, board.slot_bytes)

    def is_confirmed() -> bool:
        return bool(code.has(board, code.Mark.CONFIRMED))

    def is_spent() -> bool:
        return bool(code.has(board, code.Mark.TRIED))

    return Rig(power, of, fuses, install, start, lambda: code.confirm(board), is_confirmed, is_spent)


PATHS: dict[str, tuple[Callable[[Power, ModuleType, Scale], Rig], ModuleType]] = {
    "whole": (lambda power, code, of: ab(power, code, of, delta=False), update),
    "delta": (lambda power, code, of: ab(power, code, of, delta=True), update),
    "swap": (swapped, swap),
}


def live(rig: Rig, *, healthy: bool, handed_over: bool) -> None:
    """Starts until two starts in a row give the same and nothing is on trial any more; checks what must always hold."""
    confirmed = {1, 2} if rig.is_confirmed() else {1}
    seen: list[int] = []
    for _ in range(BOOTS):
        image = rig.start()
        told = read_header(image[:HEADER_BYTES], KEY.public_key())
        if (
            image[HEADER_BYTES : HEADER_BYTES + told.size]
            != (rig.of.old if told.counter == 1 else rig.of.new)[HEADER_BYTES:]
        ):
            raise Failed("an image was started that is not whole")
        if told.counter < rig.fuses.value:
            raise Failed("an image below the counter was started")
        if rig.fuses.value > max(confirmed):
            raise Failed("the counter stands above what was confirmed")
        seen.append(told.counter)
        if healthy:
            rig.confirm()
            confirmed.add(told.counter)
    if seen[-1] != seen[-2] or seen[-1] != seen[-3]:
        raise Failed(f"it does not come to rest: {seen}")
    if not healthy and seen[-1] != 1:
        raise Failed(f"it ends with an update that never confirmed itself: {seen}")
    if healthy and handed_over and seen[-1] != 2:
        raise Failed(f"an update that was handed over is lost: {seen}")


def one_life(rig: Rig, *, healthy: bool) -> None:
    """An update from its installation to its end, without a cut or up to it."""
    rig.install()
    rig.start()
    if healthy:
        rig.confirm()
    else:
        for _ in range(TRIES + 1):
            rig.start()


def cut(path: str, code: ModuleType, of: Scale, at: int, mode: Mode, seed: int, *, healthy: bool) -> bool:
    """One cut; False where the update ends before that write."""
    make, _ = PATHS[path]
    power = Power(seed, None, mode)
    rig = make(power, code, of)
    power.cut_at = at
    handed_over = False
    installing = rig.install

    def install() -> None:
        nonlocal handed_over
        installing()
        handed_over = True

    try:
        one_life(replace(rig, install=install), healthy=healthy)
    except PowerCut:
        pass
    else:
        return False
    power.restore()
    if rig.fuses.value == 2 and not rig.is_confirmed():
        raise Failed("the counter was raised for an update whose confirmation is not there to stay")
    live(rig, healthy=healthy, handed_over=handed_over and not rig.is_spent())
    return True


def sweep(path: str, code: ModuleType, of: Scale, seeds: int = 1) -> int:
    """Every write of a path in every mode; how many different (write, mode) there were."""
    count = 0
    for mode in Mode:
        told = 0
        for healthy in (True, False):
            for seed in range(seeds if mode in (Mode.SOME, Mode.TORN, Mode.GARBLED) else 1):
                at = 0
                while cut(path, code, of, at, mode, seed, healthy=healthy):
                    at += 1
                told = max(told, at)
        count += told
    return count


@pytest.mark.parametrize("path", PATHS)
def test_no_cut_leaves_a_device_that_does_not_start_or_that_runs_what_was_not_confirmed(path: str) -> None:
    count = sweep(path, PATHS[path][1], SMALL)
    print(f"{path}: {count} different cuts, healthy and sick, no failure (seed 0)")
    assert count >= 80


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_ten_thousand_different_cuts() -> None:
    counts = {path: sweep(path, code, LARGE) for path, (_, code) in PATHS.items()}
    print(f"different cuts: {counts}, in all {sum(counts.values())}, healthy and sick, no failure (seed 0)")
    assert sum(counts.values()) >= 10_000


def mutants(code: ModuleType) -> Iterator[tuple[str, ModuleType]]:
    """The module with one flush taken out, for each flush in it."""
    source = inspect.getsource(code)
    count = sum(_is_flush(node) for node in ast.walk(ast.parse(source)))
    for number in range(count):
        tree = ast.parse(source)
        found = [node for node in ast.walk(tree) if _is_flush(node)][number]
        assert isinstance(found, ast.Expr)
        line = found.lineno
        found.value = ast.Constant(None)
        yield f"{code.__name__.rpartition('.')[2]} line {line}", _module(tree, f"mutant_{number}")


def _is_flush(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and node.value.func.attr == "flush"
    )


def _module(tree: ast.Module, name: str) -> ModuleType:
    made = types.ModuleType(name)
    # Dataclasses look their module up.
    sys.modules[name] = made
    exec(compile(ast.fix_missing_locations(tree), name, "exec"), made.__dict__)
    return made


def fails(path: str, code: ModuleType) -> bool:
    try:
        sweep(path, code, SMALL, 4)
    except (Failed, ImageRefused):
        return True
    return False


@pytest.mark.parametrize("path", ["whole", "swap"])
def test_every_flush_is_needed(path: str) -> None:
    survivors = [name for name, mutant in mutants(PATHS[path][1]) if not fails(path, mutant)]
    assert survivors == []


def test_the_record_in_two_places_is_needed() -> None:
    source = inspect.getsource(update).replace(
        "before, place = state_of(board)", "before, place = state_of(board)[0], 0"
    )
    assert source != inspect.getsource(update)
    assert fails("whole", _module(ast.parse(source), "mutant_record"))


def test_raising_the_counter_before_the_confirmation_is_kept_is_found() -> None:
    source = inspect.getsource(update).replace(
        "    after = confirmed(state)\n",
        "    after = confirmed(state)\n    board.counter.raise_to(2 if after != state else 0)\n",
    )
    assert source != inspect.getsource(update)
    assert fails("whole", _module(ast.parse(source), "mutant_counter"))


@pytest.mark.parametrize("path", PATHS)
def test_without_a_cut_a_healthy_update_stays_and_a_sick_one_is_left(path: str) -> None:
    make, code = PATHS[path]
    for healthy in (True, False):
        rig = make(Power(), code, SMALL)
        one_life(rig, healthy=healthy)
        live(rig, healthy=healthy, handed_over=healthy)
        assert rig.fuses.history == ([1, 2] if healthy else [1])


def test_bit_rot_in_the_running_slot_starts_the_other_and_in_both_nothing() -> None:
    power = Power()
    images, states = Flash(power, 8, 2048, 512), Flash(power, 2, 2048, 512)
    board = update.Board(images, states, Fuses(power, 1), KEY.public_key())
    update._write(board, 0, [SMALL.old])
    images.flush()
    update.install(board, [SMALL.new])
    assert update.start(board).slot == 1
    images.rot(board.slot_bytes + 1000)
    assert update.start(board).slot == 0
    images.rot(200)
    assert update.start(board).slot is None


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (make_image(b"x" * 100, 2, OTHER_KEY), "no image"),
        (make_image(b"x" * 100, 0, KEY), "no image"),
        (make_image(b"x" * 100, 2, KEY, hardware=7), "no image"),
        (make_image(b"x" * 100, 2, KEY)[:-1], "no image"),
        (b"", "no image"),
        (make_image(bytes(9000), 2, KEY), "larger"),
    ],
    ids=["signer", "counter", "hardware", "cut-off", "empty", "too-large"],
)
def test_what_may_not_be_started_is_refused_and_the_old_image_stays(image: bytes, why: str) -> None:
    power = Power()
    images, states = Flash(power, 8, 2048, 512), Flash(power, 2, 2048, 512)
    board = update.Board(images, states, Fuses(power, 1), KEY.public_key(), hardware=5)
    update._write(board, 0, [SMALL.old])
    with pytest.raises(ImageRefused, match=why):
        update.install(board, [image])
    assert update.start(board).slot == 0


def test_a_delta_that_is_damaged_or_for_another_image_changes_nothing() -> None:
    delta = make_delta(SMALL.old, SMALL.new)
    assert b"".join(apply_delta(SMALL.old, [delta], len(SMALL.new))) == SMALL.new
    assert len(delta) < len(SMALL.new) // 2
    for wrong, most in ((delta[:-5], len(SMALL.new)), (b"x" * 50, len(SMALL.new)), (delta, len(SMALL.new) - 1)):
        with pytest.raises(DeltaRefused):
            b"".join(apply_delta(SMALL.old, [wrong], most))
    with contextlib.suppress(DeltaRefused):
        assert b"".join(apply_delta(content(9, len(SMALL.old)), [delta], len(SMALL.new))) != SMALL.new


def test_the_boot_table_says_what_it_says() -> None:
    base = BootState(active=0)
    trial = replace(base, trial=Trial.PENDING, tries=2)
    running = replace(base, trial=Trial.RUNNING, tries=0)
    for state, good, slot, on_trial in (
        (base, (True, True), 0, False),
        (base, (False, True), 1, False),
        (base, (False, False), None, False),
        (trial, (True, True), 1, True),
        (trial, (True, False), 0, False),
        (running, (True, True), 0, False),
        (running, (False, True), 1, True),
        (replace(running, tries=1), (True, True), 1, True),
    ):
        told = choose(state, good)
        assert (told.slot, told.on_trial) == (slot, on_trial), (state, good)


def test_a_record_is_whole_or_not_at_all() -> None:
    record = BootState(1, Trial.RUNNING, 2, 7).encode()
    assert decode(record) == BootState(1, Trial.RUNNING, 2, 7)
    for place in range(len(record)):
        broken = bytearray(record)
        broken[place] ^= 1
        assert decode(bytes(broken)) is None
    assert newest((record, b"\xff" * 32)) == (BootState(1, Trial.RUNNING, 2, 7), 1)
    assert newest((b"\xff" * 32, b"\xff" * 32)) == (BootState(), 0)
