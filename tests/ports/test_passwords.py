"""argon2id as it runs in production."""

import asyncio
import time

from bastide.adapters.passwords import AT_ONCE, WAITING, Argon2Passwords
from bastide.core.error import Unavailable
from bastide.governance.access.password import ARGON2ID, Hardness


async def test_the_stored_form_says_how_hard_it_is() -> None:
    real = Argon2Passwords()
    kept = await real.hash("tulip forklift seven")
    assert kept.startswith(f"$argon2id$v=19$m={ARGON2ID.memory_kib},t={ARGON2ID.passes},p={ARGON2ID.lanes}$")
    assert await real.holds("tulip forklift seven", kept)
    assert not await real.holds("tulip forklift eight", kept)
    assert not real.outdated(kept)
    real.close()


async def test_a_weaker_hash_is_outdated_and_rubbish_never_holds() -> None:
    weak, real = Argon2Passwords(Hardness(64, 1, 1)), Argon2Passwords()
    kept = await weak.hash("tulip forklift seven")
    assert real.outdated(kept)
    assert real.outdated("rubbish")
    assert not await weak.holds("x", "rubbish")
    assert not await weak.holds("x", "")
    weak.close()
    real.close()


async def test_the_same_password_twice_is_two_hashes() -> None:
    quick = Argon2Passwords(Hardness(64, 1, 1))
    assert await quick.hash("tulip forklift seven") != await quick.hash("tulip forklift seven")
    quick.close()


async def test_the_loop_goes_on_while_hashing_and_a_flood_is_turned_away() -> None:
    real = Argon2Passwords(Hardness(memory_kib=8192, passes=1, lanes=1))
    flood = [asyncio.create_task(real.hash("tulip forklift seven")) for _ in range(AT_ONCE + WAITING + 5)]
    begun = time.monotonic()
    await asyncio.sleep(0)
    assert time.monotonic() - begun < 5
    answers = await asyncio.gather(*flood, return_exceptions=True)
    assert sum(isinstance(answer, Unavailable) for answer in answers) == 5
    assert sum(isinstance(answer, str) for answer in answers) == AT_ONCE + WAITING
    real.close()
