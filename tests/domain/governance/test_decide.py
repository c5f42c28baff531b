"""Which standing a device gets, and why."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bastide.core.decision import Decision, Policy, Waiver
from bastide.core.device import Device
from bastide.core.evidence import Evidence, Fact, Subject, SubjectKind, Trust
from bastide.core.ids import (
    DeviceClass,
    DeviceId,
    EvidenceId,
    OwnerName,
    ProfileName,
    RuleId,
    SiteName,
    WaiverId,
    ZoneName,
)
from bastide.core.posture import Freshness
from bastide.core.standing import Stage, Standing
from bastide.governance.policy.decide import decide
from bastide.governance.policy.document import BUILT_IN, parse_policy
from bastide.governance.policy.posture import fold

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
POLICY = parse_policy(BUILT_IN)
LAMP = Device(
    id=DeviceId("d-" + "a" * 20),
    device_class=DeviceClass("lamp"),
    owner=OwnerName("facilities"),
    site=SiteName("main"),
    zone=ZoneName("default"),
    profile=ProfileName("lamp"),
    standing=Standing.TRUSTED,
    stage=Stage.IN_SERVICE,
    created_at=NOON - timedelta(days=30),
)


def fact(
    kind: str,
    seconds_ago: float = 0,
    *,
    trust: Trust = Trust.AUTHENTICATED,
    count: int = 1,
    fresh_for: timedelta | None = None,
    **body: Fact,
) -> Evidence:
    at = NOON - timedelta(seconds=seconds_ago)
    return Evidence(
        id=EvidenceId(f"e-{kind}-{seconds_ago}-{trust}"),
        kind=kind,
        subject=Subject(SubjectKind.DEVICE, LAMP.id),
        source="test",
        trust=trust,
        observed_at=at,
        received_at=at,
        count=count,
        fresh_for=fresh_for,
        body=body,
    )


ENROLLED = fact("identity.enrolled", 86400)


def decided(*facts: Evidence, policy: Policy = POLICY, waivers: tuple[Waiver, ...] = (), after: float = 0) -> Decision:
    at = NOON + timedelta(seconds=after)
    return decide(LAMP, fold(LAMP.id, [ENROLLED, *facts], at), policy, waivers, at)


def misuse(*seconds_ago: float) -> list[Evidence]:
    return [fact("broker.publish.denied", ago) for ago in seconds_ago]


def test_a_device_that_proved_its_identity_is_trusted() -> None:
    assert decided().standing is Standing.TRUSTED


def test_a_device_that_was_only_seen_is_unknown() -> None:
    assert decide(LAMP, fold(LAMP.id, [], NOON), POLICY, [], NOON).standing is Standing.UNKNOWN


def test_three_denied_publications_in_a_minute_quarantine() -> None:
    decision = decided(*misuse(30, 20, 10))
    assert decision.standing is Standing.QUARANTINED
    assert [held.rule for held in decision.held] == ["topic-misuse"]
    assert len(decision.held[0].evidence) == 3


def test_two_do_not_and_three_over_two_minutes_do_not() -> None:
    assert decided(*misuse(20, 10)).standing is Standing.TRUSTED
    assert decided(*misuse(120, 61, 1)).standing is Standing.TRUSTED


def test_one_fact_that_stands_for_many_counts_as_many() -> None:
    assert decided(fact("broker.publish.denied", 5, count=3)).standing is Standing.QUARANTINED


def test_forged_packets_take_no_standing_away() -> None:
    forged = [fact("broker.publish.denied", ago, trust=Trust.PASSIVE) for ago in (3, 2, 1)]
    assert decided(*forged).standing is Standing.TRUSTED


def test_an_automatic_hold_ends_by_itself_and_says_when() -> None:
    flood = fact("ingest.rate.exceeded", 0, count=500)
    held = decided(flood)
    assert held.standing is Standing.RESTRICTED
    assert held.reconsider_at == NOON + timedelta(minutes=15)
    assert decided(flood, after=15 * 60).standing is Standing.TRUSTED


def test_a_hold_starts_again_with_each_new_offence() -> None:
    floods = [fact("ingest.rate.exceeded", ago, count=500) for ago in (840, 0)]
    assert decided(*floods, after=899).standing is Standing.RESTRICTED


def test_a_personal_hold_stays_until_a_person_releases_it() -> None:
    assert decided(*misuse(3, 2, 1), after=86400 * 365).standing is Standing.QUARANTINED
    release = fact("operator.release", 0, trust=Trust.OPERATOR)
    assert decided(*misuse(3, 2, 1), release).standing is Standing.TRUSTED


def test_a_release_that_the_device_claims_for_itself_counts_nothing() -> None:
    forged = fact("operator.release", 0, trust=Trust.REPORTED)
    assert decided(*misuse(3, 2, 1), forged).standing is Standing.QUARANTINED


def test_a_release_of_another_rule_leaves_this_one() -> None:
    other = fact("operator.release", 0, trust=Trust.OPERATOR, rule="flooding")
    assert decided(*misuse(3, 2, 1), other).standing is Standing.QUARANTINED


def test_offences_after_the_release_count_again() -> None:
    release = fact("operator.release", 50, trust=Trust.OPERATOR)
    assert decided(*misuse(59, 58, 57), release, *misuse(3, 2)).standing is Standing.TRUSTED
    assert decided(*misuse(59, 58, 57), release, *misuse(3, 2, 1)).standing is Standing.QUARANTINED


def test_a_waiver_sets_one_rule_aside_and_is_shown() -> None:
    waiver = Waiver(
        WaiverId("w-1"), RuleId("topic-misuse"), None, OwnerName("ops"), "tests", NOON, NOON + timedelta(hours=1)
    )
    decision = decided(*misuse(3, 2, 1), waivers=(waiver,))
    assert decision.standing is Standing.TRUSTED
    assert decision.held[0].waived_by == "w-1"
    assert decision.reconsider_at == waiver.ends_at
    assert decided(*misuse(3, 2, 1), waivers=(waiver,), after=3600).standing is Standing.QUARANTINED


def test_break_glass_sets_all_rules_aside_until_it_ends() -> None:
    glass = fact(
        "operator.break-glass",
        0,
        trust=Trust.OPERATOR,
        fresh_for=timedelta(hours=1),
        standing="restricted",
        reason="fire",
    )
    decision = decided(*misuse(3, 2, 1), glass)
    assert decision.standing is Standing.RESTRICTED
    assert "fire" in decision.because
    assert decision.reconsider_at == NOON + timedelta(hours=1)
    assert decided(*misuse(3, 2, 1), glass, after=3600).standing is Standing.QUARANTINED


def test_a_part_turns_stale_when_its_freshness_ends() -> None:
    seen = fact("telemetry.seen", 10, fresh_for=timedelta(seconds=30))
    assert fold(LAMP.id, [seen], NOON).part("telemetry.seen").freshness is Freshness.FRESH
    assert fold(LAMP.id, [seen], NOON + timedelta(minutes=1)).part("telemetry.seen").freshness is Freshness.STALE
    assert fold(LAMP.id, [], NOON).part("telemetry.seen").freshness is Freshness.MISSING


offences = st.lists(
    st.tuples(
        st.sampled_from(
            ["broker.publish.denied", "ingest.rate.exceeded", "ingest.field.undeclared", "operator.release"]
        ),
        st.floats(0, 3600),
        st.sampled_from(list(Trust)),
        st.integers(1, 300),
    ),
    max_size=12,
    unique_by=lambda one: (one[0], one[1], one[2]),
)


@given(offences, st.randoms())
def test_the_order_and_repetition_of_evidence_change_nothing(
    drawn: list[tuple[str, float, Trust, int]], random: object
) -> None:
    facts = [fact(kind, ago, trust=trust, count=count) for kind, ago, trust, count in drawn]
    shuffled = facts + facts[:3]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert decided(*facts) == decided(*shuffled)


@given(offences)
def test_nothing_changes_before_the_moment_at_which_it_must_be_decided_again(
    drawn: list[tuple[str, float, Trust, int]],
) -> None:
    facts = [fact(kind, ago, trust=trust, count=count) for kind, ago, trust, count in drawn]
    now = decided(*facts)
    later = 86400.0 if now.reconsider_at is None else (now.reconsider_at - NOON).total_seconds() - 0.001
    if later > 0:
        assert decided(*facts, after=later).standing is now.standing
