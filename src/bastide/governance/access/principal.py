"""Principal: in whose name a request is made, and what that allows."""

from dataclasses import dataclass
from enum import StrEnum

from bastide.core.device import Device
from bastide.governance.access.error import NotPermitted
from bastide.governance.access.person import PersonId
from bastide.governance.access.roles import BOUNDLESS_ONLY, MATRIX, Permission, Role
from bastide.governance.access.scope import Scope


class Means(StrEnum):
    """How somebody showed who they are."""

    LINK = "link"
    PASSWORD = "password"  # noqa: S105 - the name of a means
    PASSKEY = "passkey"
    TOKEN = "token"  # noqa: S105 - the name of a means


@dataclass(frozen=True, slots=True)
class Principal:
    """``actor`` is what the ledger names: ``person:…`` or ``token:…``. ``session`` is empty for a token."""

    actor: str
    person: PersonId
    name: str
    role: Role
    scope: Scope
    means: Means
    permissions: frozenset[Permission]
    session: str = ""

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions

    def demand(self, permission: Permission) -> None:
        """Raises unless the permission is held."""
        if permission not in self.permissions:
            limited = permission in BOUNDLESS_ONLY and permission in MATRIX[self.role]
            raise NotPermitted(
                f"This needs {permission} over the whole fleet, and the account is limited to some sites or classes."
                if limited
                else f"This needs the permission {permission}, which the role {self.role} does not have."
            )

    def sees(self, device: Device) -> bool:
        return self.scope.covers(device)


def permissions(role: Role, scope: Scope) -> frozenset[Permission]:
    """What a role may within a scope."""
    return MATRIX[role] if scope.boundless else MATRIX[role] - BOUNDLESS_ONLY
