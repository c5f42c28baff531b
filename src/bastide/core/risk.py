"""Risk: impact, exposure and likelihood, with the terms shown. It orders work; findings and rules decide standing."""

from dataclasses import dataclass, field

from bastide.core.ids import DeviceId


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that raised or lowered a factor: ``value`` is what it contributed, ``because`` says why."""

    factor: str
    value: float
    because: str


@dataclass(frozen=True, slots=True)
class Risk:
    """Each factor is 0 to 1; ``score`` is their product, for ordering only."""

    device: DeviceId
    impact: float
    exposure: float
    likelihood: float
    terms: tuple[Term, ...] = field(default=())

    @property
    def score(self) -> float:
        return self.impact * self.exposure * self.likelihood
