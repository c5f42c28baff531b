"""Pruning: the bodies of old records go, their hashes and places stay, so the tree and every proof still hold.

A record says up to where bodies were pruned *before* they are, so an auditor can tell pruned from lost. What the audit itself
needs is never pruned: signatures (they are held against the signer's journal), erasures, and what was done to the ledger.
"""

from collections.abc import Mapping

from bastide.core.audit import Recorded
from bastide.governance.audit.record import Stored

PRUNED_KIND = "ledger:bodies:pruned"
KEPT = ("signing:", "privacy:", "ledger:", "access:", "policy:")


def pruning(before: int) -> Mapping[str, Recorded]:
    """The body of the record that says that the bodies of records with an index below ``before`` go."""
    return {"before": before, "kept": list(KEPT)}


def pruned_below(stored: Stored) -> int:
    """Below which index a record says that bodies were pruned; 0 where it is another kind of record."""
    before = stored.body.get("before") if stored.kind == PRUNED_KIND else None
    return before if isinstance(before, int) and not isinstance(before, bool) else 0


def prunable(kind: str) -> bool:
    """True where the bodies of records of that kind may go."""
    return not kind.startswith(KEPT)
