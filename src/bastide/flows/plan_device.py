"""The plan of one device: what each enforcement point must hold, from standing, profile and mode. Pure."""

from datetime import datetime

from bastide.core.decision import Decision
from bastide.core.device import Device
from bastide.core.plan import Circle, CredentialState, NetworkGrant, NetworkMode, Plan, UpdateEligibility
from bastide.core.profile import Profile
from bastide.core.standing import Standing
from bastide.network.broker.grant import grant

_CREDENTIAL = {
    Standing.TRUSTED: CredentialState.VALID,
    Standing.RESTRICTED: CredentialState.VALID,
    Standing.PENDING: CredentialState.VALID,
    Standing.QUARANTINED: CredentialState.SUSPENDED,
    Standing.UNKNOWN: CredentialState.SUSPENDED,
    Standing.RETIRED: CredentialState.REVOKED,
}
_UPDATE = {
    Standing.TRUSTED: UpdateEligibility.NORMAL,
    Standing.RESTRICTED: UpdateEligibility.NORMAL,
    Standing.PENDING: UpdateEligibility.NONE,
    Standing.QUARANTINED: UpdateEligibility.REPAIR,
    Standing.UNKNOWN: UpdateEligibility.NONE,
    Standing.RETIRED: UpdateEligibility.NONE,
}
CIRCLE = {
    Standing.TRUSTED: Circle.PROFILE,
    Standing.RESTRICTED: Circle.PROFILE,
    Standing.PENDING: Circle.ONBOARDING,
    Standing.QUARANTINED: Circle.QUARANTINE,
    Standing.UNKNOWN: Circle.NOTHING,
    Standing.RETIRED: Circle.NOTHING,
}


def plan(
    device: Device, decision: Decision, profile: Profile, mode: NetworkMode, generation: int, at: datetime
) -> Plan:
    """What the points must hold for this standing. The same arguments always make the same plan.

    ``mode`` is about the profile alone: whoever is not in its circle is held to where it is, whatever is observed."""
    circle = CIRCLE[decision.standing]
    return Plan(
        device=device.id,
        generation=generation,
        standing=decision.standing,
        broker=grant(profile, device.id, decision.standing),
        credential=_CREDENTIAL[decision.standing],
        update=_UPDATE[decision.standing],
        network=NetworkGrant(circle, mode if circle is Circle.PROFILE else NetworkMode.ENFORCE),
        made_at=at,
    )
