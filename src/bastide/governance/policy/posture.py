"""The fold of all evidence on a device into its posture."""

from collections.abc import Iterable
from datetime import datetime

from bastide.core.evidence import Evidence
from bastide.core.ids import DeviceId
from bastide.core.posture import Freshness, Part, Posture


def fold(device: DeviceId, evidence: Iterable[Evidence], at: datetime) -> Posture:
    """Groups evidence by kind, newest first. A part is stale where its newest fact no longer may be relied on.

    The order in which evidence comes does not matter, and the same fact twice counts once.
    """
    by_kind: dict[str, dict[str, Evidence]] = {}
    for fact in evidence:
        by_kind.setdefault(fact.kind, {})[fact.id] = fact
    return Posture(
        device=device, at=at, parts={kind: _part(kind, facts, at) for kind, facts in sorted(by_kind.items())}
    )


def _part(kind: str, facts: dict[str, Evidence], at: datetime) -> Part:
    newest_first = tuple(sorted(facts.values(), key=lambda fact: (fact.observed_at, fact.id), reverse=True))
    newest = newest_first[0]
    return Part(
        kind=kind,
        freshness=Freshness.FRESH if newest.fresh_at(at) else Freshness.STALE,
        evidence=newest_first,
        until=None if newest.fresh_for is None else newest.observed_at + newest.fresh_for,
    )
