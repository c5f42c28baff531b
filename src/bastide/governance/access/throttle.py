"""Throttling of sign-ins: guessing gets slow, nobody is locked out for ever, and nobody can lock out another.

Failures are counted under three keys: the account from this address, the address, and the account from anywhere. Each key
has a number of free failures within a window, then a wait that doubles with each further failure up to a limit. Only the
password is throttled by account: a one-time link or a passkey still opens the account while somebody else guesses.
(NIST SP 800-63B 5.2.2; OWASP Authentication Cheat Sheet.)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Limit:
    free: int
    window: timedelta
    first_wait: timedelta
    longest_wait: timedelta


PAIR = Limit(free=5, window=timedelta(minutes=30), first_wait=timedelta(seconds=2), longest_wait=timedelta(minutes=15))
ADDRESS = Limit(
    free=20, window=timedelta(minutes=30), first_wait=timedelta(seconds=2), longest_wait=timedelta(minutes=15)
)
# From anywhere: whoever knows an account's name can fill this one, so its wait stays one that a person sits out.
ACCOUNT = Limit(
    free=30, window=timedelta(minutes=30), first_wait=timedelta(seconds=1), longest_wait=timedelta(seconds=30)
)

# Asking for challenges is no failure, but each one is kept for a while.
CHALLENGE = Limit(
    free=40, window=timedelta(minutes=5), first_wait=timedelta(seconds=2), longest_wait=timedelta(minutes=5)
)

LONGEST_WINDOW = timedelta(minutes=30)
MOST_COUNTED = 64
"""Failures looked at for one key: beyond these the wait is at its limit anyway."""


def keys(account: str, address: str) -> dict[str, Limit]:
    """The keys under which a failed password is counted."""
    return {f"pair:{account}@{address}": PAIR, f"address:{address}": ADDRESS, f"account:{account}": ACCOUNT}


def challenge_keys(address: str) -> dict[str, Limit]:
    """The key under which a challenge that was asked for is counted."""
    return {f"challenge:{address}": CHALLENGE}


def wait(limits: Mapping[str, Limit], failures: Mapping[str, Sequence[datetime]], now: datetime) -> timedelta:
    """How long to wait before the next try; zero where it may be made now."""
    return max((_wait(limit, failures.get(key, ()), now) for key, limit in limits.items()), default=timedelta(0))


def _wait(limit: Limit, failures: Sequence[datetime], now: datetime) -> timedelta:
    counted = [moment for moment in failures if moment > now - limit.window]
    over = len(counted) - limit.free
    if over < 0 or not counted:
        return timedelta(0)
    pause = min(limit.longest_wait, limit.first_wait * float(2 ** min(over, 20)))
    return max(timedelta(0), max(counted) + pause - now)
