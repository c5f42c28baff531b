"""Standing: what a device may do now. Lifecycle stage: where it is between the purchase list and the scrap yard."""

from enum import StrEnum


class Standing(StrEnum):
    """Ordered from least to most that a device may do; see :meth:`rank`.

    ``retired`` and ``unknown`` may nothing, ``quarantined`` may only be repaired, ``pending`` waits for a person or a
    proof, ``restricted`` may do what its work cannot do without, ``trusted`` all that its profile declares.
    """

    RETIRED = "retired"
    UNKNOWN = "unknown"
    QUARANTINED = "quarantined"
    PENDING = "pending"
    RESTRICTED = "restricted"
    TRUSTED = "trusted"

    @property
    def rank(self) -> int:
        return _RANK[self]

    def at_most(self, cap: "Standing") -> "Standing":
        """The lower of the two."""
        return self if self.rank <= cap.rank else cap


_RANK = {standing: rank for rank, standing in enumerate(Standing)}


class Stage(StrEnum):
    """Lifecycle stage."""

    EXPECTED = "expected"
    RECEIVED = "received"
    COMMISSIONED = "commissioned"
    IN_SERVICE = "in-service"
    MAINTENANCE = "maintenance"
    END_OF_SUPPORT = "end-of-support"
    DECOMMISSIONING = "decommissioning"
    RETIRED = "retired"
