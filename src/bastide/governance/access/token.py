"""API tokens: scoped, expiring, with a named owner, and never worth more than the owner is now."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NewType

from bastide.governance.access.error import AccessRefused
from bastide.governance.access.person import Person, PersonId
from bastide.governance.access.principal import Means, Principal, permissions
from bastide.governance.access.roles import MATRIX, Role
from bastide.governance.access.scope import EVERYTHING, Scope

TokenId = NewType("TokenId", str)

PREFIX = "bastide_"
"""Before the ``id.secret`` of a token, so that scanners for leaked secrets can know one."""

LONGEST_LIFE = timedelta(days=366)
MAX_LABEL = 80


@dataclass(frozen=True, slots=True)
class Token:
    """One API token as it is kept. ``label`` says what it is for."""

    id: TokenId
    owner: PersonId
    label: str
    role: Role
    digest: bytes
    created_at: datetime
    expires_at: datetime
    scope: Scope = EVERYTHING
    revoked_at: datetime | None = None
    last_used: datetime | None = None

    def live_at(self, now: datetime) -> bool:
        return self.revoked_at is None and self.created_at <= now < self.expires_at


def check_request(owner: Person, label: str, role: Role, scope: Scope, life: timedelta) -> None:
    """Raises where the owner may not have such a token."""
    if not label.strip() or len(label) > MAX_LABEL or not label.isprintable():
        raise AccessRefused(
            f"A token needs a label of at most {MAX_LABEL} printable characters that says what it is for.",
            code="access:token:label",
        )
    if not timedelta(minutes=1) <= life <= LONGEST_LIFE:
        raise AccessRefused(
            f"A token lives at least a minute and at most {LONGEST_LIFE.days} days; choose a life between them.",
            code="access:token:life",
        )
    if not MATRIX[role] <= MATRIX[owner.role]:
        raise AccessRefused(
            f"A token of the role {role} may more than its owner's role {owner.role}; choose a role that may less.",
            code="access:token:role",
        )
    if not scope.within(owner.scope):
        raise AccessRefused(
            "The token's sites and classes reach beyond its owner's; name only sites and classes that the owner has.",
            code="access:token:scope",
        )


def principal(token: Token, owner: Person) -> Principal:
    """In whose name a token acts now: what both the token and its owner may. Raises where nothing is left."""
    scope = token.scope.narrowed(owner.scope)
    if scope is None:
        raise AccessRefused(
            "The token's sites and classes are no longer among its owner's; make a new token.",
            code="access:token:scope",
        )
    return Principal(
        actor=f"token:{token.id}",
        person=owner.id,
        name=owner.name,
        role=token.role,
        scope=scope,
        means=Means.TOKEN,
        permissions=permissions(token.role, scope) & permissions(owner.role, owner.scope),
    )
