"""Roles and what each may do, as one table. What is not in the table is refused.

Separation of duties (NIST SP 800-53 AC-5, AC-6): an operator acts on devices and cannot change who may; an auditor sees
everything, the people and the exports too, and changes nothing; only an admin changes policy, people and profiles.
"""

from enum import StrEnum


class Role(StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    ADMIN = "admin"


class Permission(StrEnum):
    """One kind of act. Reads are limited to the scope of whoever asks; so are acts on devices."""

    FLEET_READ = "fleet:read"
    DEVICE_ACT = "device:act"
    DEVICE_BREAK_GLASS = "device:break-glass"
    SCAN_SUBMIT = "scan:submit"
    CLAIM_READ = "claim:read"
    CLAIM_CHANGE = "claim:change"
    AUTHORITY_CHANGE = "authority:change"
    ROLLOUT_CHANGE = "rollout:change"
    PROFILE_READ = "profile:read"
    PROFILE_CHANGE = "profile:change"
    POLICY_READ = "policy:read"
    POLICY_SIMULATE = "policy:simulate"
    POLICY_CHANGE = "policy:change"
    WAIVER_READ = "waiver:read"
    WAIVER_CHANGE = "waiver:change"
    LEDGER_READ = "ledger:read"
    LEDGER_EXPORT = "ledger:export"
    ACCOUNT_OWN = "account:own"
    TOKEN_OWN = "token:own"  # noqa: S105 - the name of a permission
    PEOPLE_READ = "people:read"
    PEOPLE_CHANGE = "people:change"


_P = Permission

_EVERYONE = frozenset(
    {_P.FLEET_READ, _P.PROFILE_READ, _P.POLICY_READ, _P.WAIVER_READ, _P.LEDGER_READ, _P.ACCOUNT_OWN, _P.TOKEN_OWN}
)

MATRIX: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: _EVERYONE,
    Role.OPERATOR: _EVERYONE
    | {
        _P.DEVICE_ACT,
        _P.DEVICE_BREAK_GLASS,
        _P.SCAN_SUBMIT,
        _P.CLAIM_READ,
        _P.CLAIM_CHANGE,
        _P.ROLLOUT_CHANGE,
        _P.POLICY_SIMULATE,
        _P.WAIVER_CHANGE,
    },
    Role.AUDITOR: _EVERYONE | {_P.CLAIM_READ, _P.POLICY_SIMULATE, _P.LEDGER_EXPORT, _P.PEOPLE_READ},
    Role.ADMIN: frozenset(Permission),
}

BOUNDLESS_ONLY = frozenset(
    {
        _P.LEDGER_EXPORT,
        _P.PEOPLE_READ,
        _P.PEOPLE_CHANGE,
        _P.POLICY_CHANGE,
        _P.PROFILE_CHANGE,
    }
)
"""What concerns the whole fleet at once, so that a scope of some sites or classes cannot limit it: such a scope loses it."""
