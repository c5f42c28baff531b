"""When a rollout is stopped: Wald's sequential probability ratio test, started afresh each time it ends well.

A bare percentage must wait for a sample that is large enough, or stops for the first unlucky device. The ratio test weighs each
outcome as it comes: it stops a small ring after a few failures that the tolerable rate does not explain, and goes on otherwise.

Outcomes are weighed in the order in which devices *began*, a cohort at a time: success is told soon and silence only by a
deadline, so outcomes in the order of their arrival would show a run of failures that is none.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import log, sqrt

from bastide.core.error import Refused


class AbortRuleRefused(Refused):
    """A rule that cannot be judged by."""

    code = "rollout:abort-rule:refused"


class Verdict(StrEnum):
    """What the outcomes so far say."""

    GO_ON = "go-on"
    """Neither is shown yet."""
    WELL = "well"
    """The intolerable rate is ruled out: the next ring may begin."""
    ABORT = "abort"
    """The tolerable rate does not explain the failures."""


@dataclass(frozen=True, slots=True)
class AbortRule:
    """Rates of failure, and how often each mistake may be made: stopping a tolerable release (``false_alarm``), and calling an
    intolerable one well (``miss``)."""

    tolerable: float = 0.05
    intolerable: float = 0.15
    false_alarm: float = 0.001
    miss: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.tolerable < self.intolerable < 1:
            raise AbortRuleRefused("Give two rates between 0 and 1, the tolerable one below the intolerable one.")
        if not (0 < self.false_alarm < 0.5 and 0 < self.miss < 0.5):
            raise AbortRuleRefused("Give probabilities of the two mistakes between 0 and 0.5.")


@dataclass(frozen=True, slots=True)
class Cohort:
    """Devices that began together: how many, how many of them measured success or failure, until when the rest may answer."""

    began: int
    succeeded: int
    failed: int
    deadline: datetime

    def settled(self, now: datetime) -> tuple[int, int] | None:
        """Failed and succeeded, once all have answered or the deadline has gone; silence is failure. None before."""
        silent = self.began - self.succeeded - self.failed
        if silent < 0:
            raise ValueError("a cohort has no more outcomes than devices")
        if silent and now < self.deadline:
            return None
        return self.failed + silent, self.succeeded


@dataclass(frozen=True, slots=True)
class Watch:
    """What was seen since the test began, as its log likelihood ratio, and the verdict."""

    score: float = 0.0
    verdict: Verdict = Verdict.GO_ON


def observe(rule: AbortRule, watch: Watch, failed: int, succeeded: int) -> Watch:
    """The watch after the outcomes of the next settled cohort; cohorts are given in the order in which they began.

    An abort stays. After *well* the test begins afresh, so that success early on never pays for failure later.
    """
    if failed < 0 or succeeded < 0:
        raise ValueError("outcomes are counted from 0 up")
    if watch.verdict is Verdict.ABORT or not failed + succeeded:
        return watch
    score = 0.0 if watch.verdict is Verdict.WELL else watch.score
    score += failed * log(rule.intolerable / rule.tolerable)
    score += succeeded * log((1 - rule.intolerable) / (1 - rule.tolerable))
    if score >= log((1 - rule.miss) / rule.false_alarm):
        return Watch(score, Verdict.ABORT)
    if score <= log(rule.miss / (1 - rule.false_alarm)):
        return Watch(score, Verdict.WELL)
    return Watch(score)


def interval(failed: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's confidence interval of a rate of failure (``z`` 1.96: 95 %); (0, 1) where nothing was seen."""
    if not total:
        return 0.0, 1.0
    rate, square = failed / total, z * z / total
    middle = rate + square / 2
    half = z * sqrt(rate * (1 - rate) / total + square / (4 * total))
    low, high = (middle - half) / (1 + square), (middle + half) / (1 + square)
    return (0.0 if not failed else max(0.0, low)), (1.0 if failed == total else min(1.0, high))
