"""Finding: a claim with severity, confidence and the evidence behind it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bastide.core.evidence import Subject
from bastide.core.ids import EvidenceId


class Severity(StrEnum):
    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """``code`` is stable (``traffic:telnet``); ``title`` says what is so, ``advice`` what to do; ``confidence`` is 0 to 1."""

    code: str
    subject: Subject
    severity: Severity
    confidence: float
    title: str
    advice: str
    found_at: datetime
    because: tuple[EvidenceId, ...] = field(default=())
