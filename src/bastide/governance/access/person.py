"""People: accounts. Who somebody is stays out of the ledger in the clear; the id stands for them (see docs/adr/0007)."""

from dataclasses import dataclass
from datetime import datetime
from typing import NewType

from bastide.core.ids import is_name
from bastide.governance.access.error import AccessRefused
from bastide.governance.access.roles import Role
from bastide.governance.access.scope import EVERYTHING, Scope

PersonId = NewType("PersonId", str)

MAX_DISPLAY = 120


@dataclass(frozen=True, slots=True)
class Person:
    """One account. ``name`` is what is typed at sign-in; ``display`` what others read. ``disabled_at`` ends every
    session and token at once. ``password`` is an argon2id hash in PHC form, empty where there is none."""

    id: PersonId
    name: str
    role: Role
    created_at: datetime
    display: str = ""
    scope: Scope = EVERYTHING
    password: str = ""
    disabled_at: datetime | None = None

    @property
    def enabled(self) -> bool:
        return self.disabled_at is None


def check_names(name: str, display: str) -> None:
    """Raises where an account may not be named so."""
    if not is_name(name):
        raise AccessRefused(
            f"{name[:70]!r} cannot name an account: use 1 to 63 of a-z, 0-9, '.', '_', '-', the first a letter or digit.",
            code="access:person:name",
        )
    if len(display) > MAX_DISPLAY or not display.isprintable():
        raise AccessRefused(
            f"The full name has to be printable and at most {MAX_DISPLAY} characters long.",
            code="access:person:display",
        )
