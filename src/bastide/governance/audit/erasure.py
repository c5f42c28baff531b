"""The record that says which personal facts were erased, so that an auditor can tell erased from lost."""

from collections.abc import Mapping, Sequence

from bastide.core.audit import Recorded
from bastide.governance.audit.record import Stored

ERASED_KIND = "privacy:fact:erased"


def erasure(commitments: Sequence[str]) -> Mapping[str, Recorded]:
    """The body of the record."""
    return {"commitments": list(commitments)}


def erased_by(stored: Stored) -> Sequence[str]:
    """The commitments that a record says were erased; none where it is another kind of record."""
    named = stored.body.get("commitments") if stored.kind == ERASED_KIND else None
    return [one for one in named if isinstance(one, str)] if isinstance(named, list) else []
