"""argon2id on threads of its own: the event loop goes on, and the memory that hashing takes has a bound."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from bastide.core.error import Unavailable
from bastide.governance.access.password import ARGON2ID, Hardness

Answer = TypeVar("Answer")

# One hash holds 64 MiB while it runs; whoever floods the sign-in page gets "try later", not the machine's memory.
AT_ONCE = 2
WAITING = 16


class Argon2Passwords:
    """Implements ports.platform.access.Passwords. Close it when done."""

    def __init__(self, hardness: Hardness = ARGON2ID) -> None:
        self._hasher = PasswordHasher(
            time_cost=hardness.passes, memory_cost=hardness.memory_kib, parallelism=hardness.lanes
        )
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="argon2")
        self._running = 0
        self._nobody = ""

    async def hash(self, password: str) -> str:
        return await self._run(self._hasher.hash, password)

    async def holds(self, password: str, kept: str) -> bool:
        if not kept:
            # Whoever has no password costs what the others cost, so that time does not tell which accounts exist.
            self._nobody = self._nobody or await self._run(self._hasher.hash, "nobody has this password")
        return bool(await self._run(self._verify, password, kept or self._nobody)) and bool(kept)

    def outdated(self, kept: str) -> bool:
        try:
            return self._hasher.check_needs_rehash(kept)
        except InvalidHashError:
            return True

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _verify(self, password: str, kept: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerifyMismatchError, VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[..., Answer], *arguments: str) -> Answer:
        if self._running >= AT_ONCE + WAITING:
            raise Unavailable("Too many people sign in at this moment; try again in a few seconds.")
        self._running += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)
        finally:
            self._running -= 1
