"""The workers by themselves: a log that is rotated, refusals that are counted, plans that change while one is asked."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from bastide.controller.workers.callout import Callout
from bastide.controller.workers.ingest.intake import MAX_HELD, Intake
from bastide.controller.workers.tally import Tally
from bastide.controller.workers.violations import LogFollower, Violations
from bastide.core.error import Refused, Unavailable
from bastide.core.evidence import Evidence
from bastide.core.ids import DeviceClass, DeviceId
from bastide.core.plan import CredentialState, Plan, UpdateEligibility
from bastide.core.standing import Standing
from bastide.network.broker.admission import Fault
from bastide.network.broker.connect import ConnectRequest
from bastide.network.broker.grant import grant
from bastide.network.profile.document import GENERIC, parse_profile
from bastide.testing import FakeClock, SequentialIds
from bastide.testing.signer import MemorySigner
from bastide.wire.desired import Desired

DEVICE = DeviceId("d-" + "a" * 20)
SERVER = "N" + "A" * 55
LINE = b'[7] 2026/11/23 02:44:22.509383 [ERR] 127.0.0.1:4 - mid:%d - "x" - Publish Violation - Subject "up.%s.t"\n'


def line(client: int) -> bytes:
    return LINE % (client, DEVICE.encode())


def desired(standing: Standing = Standing.TRUSTED, generation: int = 1) -> Desired:
    profile = parse_profile(GENERIC)
    plan = Plan(
        DEVICE, generation, standing, grant(profile, DEVICE, standing), CredentialState.VALID, UpdateEligibility.NORMAL,
        FakeClock().now(),
    )  # fmt: skip
    return Desired(plan, DeviceClass("generic"), profile)


def test_a_log_is_followed_over_rotation_and_half_lines(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_bytes(b"old\n")
    follower = LogFollower(path)
    assert list(follower.lines()) == []
    with path.open("ab") as log:
        log.write(b"one\ntw")
        log.flush()
        assert list(follower.lines()) == [b"one"]
        log.write(b"o\nthree\n")
    path.rename(tmp_path / "server.log.1")
    assert list(follower.lines()) == [b"two", b"three"]
    path.write_bytes(b"four\n")
    assert list(follower.lines()) == [b"four"]
    follower.close()


def test_a_log_that_is_made_later_is_read_from_its_first_line(tmp_path: Path) -> None:
    follower = LogFollower(tmp_path / "server.log")
    assert list(follower.lines()) == []
    (tmp_path / "server.log").write_bytes(b"one\n")
    assert list(follower.lines()) == [b"one"]
    follower.close()


def test_a_line_that_is_half_written_is_read_whatever_its_length(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.touch()
    follower = LogFollower(path)
    follower.lines()
    with path.open("ab") as log:
        log.write(b"x" * 500_000)
        log.flush()
        assert list(follower.lines()) == []
        log.write(b"y\n")
        log.flush()
        assert list(follower.lines()) == [b"x" * 500_000 + b"y"]
    follower.close()


async def test_a_violation_is_told_once_a_second_at_most_and_counted(tmp_path: Path) -> None:
    clock, told = FakeClock(), list[Evidence]()
    path = tmp_path / "server.log"
    path.touch()

    async def put(facts: Sequence[Evidence]) -> None:
        told.extend(facts)

    known = {(SERVER, 31): DEVICE}
    worker = Violations(
        path, lambda: SERVER, lambda server, client: known.get((server, client)), put, clock, SequentialIds()
    )
    await worker.step()
    with path.open("ab") as log:
        log.write(line(31) * 5 + line(99))
    await worker.step()
    assert [(fact.kind, fact.count, fact.subject.id) for fact in told] == [("broker.publish.denied", 5, DEVICE)]
    assert told[0].body == {"topic": f"devices/{DEVICE}/t"}

    with path.open("ab") as log:
        log.write(line(31) * 3)
    await worker.step()
    assert len(told) == 1
    known[(SERVER, 99)] = DEVICE  # the event that it began came after its line
    clock.advance(1)
    await worker.step()
    assert [fact.count for fact in told] == [5, 4]
    assert worker.unattributed == 0
    worker.close()


async def test_what_could_not_be_told_is_told_later(tmp_path: Path) -> None:
    clock, told = FakeClock(), list[Evidence]()
    path = tmp_path / "server.log"
    path.touch()
    full = True

    async def put(facts: Sequence[Evidence]) -> None:
        if full:
            raise Unavailable("The disk is full.")
        told.extend(facts)

    worker = Violations(path, lambda: SERVER, lambda *_: DEVICE, put, clock, SequentialIds())
    await worker.step()
    with path.open("ab") as log:
        log.write(line(1))
    await worker.step()
    full = False
    await worker.step()
    assert [fact.count for fact in told] == [1]
    worker.close()


def test_a_tally_tells_the_first_at_once_and_forgets_who_is_quiet() -> None:
    clock = FakeClock()
    tally = Tally("broker", timedelta(seconds=30), timedelta(days=1), SequentialIds())
    for _ in range(3):
        tally.add(DEVICE, "broker.connect.refused", {"reason": "x"}, clock.now())
    assert [fact.count for fact in tally.due(clock.now())] == [3]
    tally.add(DEVICE, "broker.connect.refused", {"reason": "y"}, clock.now())
    assert list(tally.due(clock.advance(29))) == []
    assert [(fact.count, fact.body["reason"]) for fact in tally.due(clock.advance(1))] == [(1, "y")]
    assert list(tally.due(clock.advance(30))) == []
    assert not tally._counts


class Asked:
    """A callout whose plan changes while the signer signs."""

    def __init__(self, plans: Sequence[Desired | None], state: CredentialState | None = CredentialState.VALID) -> None:
        self.plans, self.looked = plans, 0
        self.let_in: list[int] = []
        clock = FakeClock()

        async def certificate_state(certificate: bytes) -> CredentialState | None:
            return state

        self.callout = Callout(
            self,
            certificate_state,
            MemorySigner(clock),
            lambda request, device, generation: self.let_in.append(generation),
            clock,
            SequentialIds(),
            issuer="A1",
            account="DEVICES",
        )

    def held(self, device: DeviceId) -> Desired | None:
        self.looked += 1
        return self.plans[min(self.looked, len(self.plans)) - 1]


@pytest.fixture
def request_(monkeypatch: pytest.MonkeyPatch) -> ConnectRequest:
    from bastide.controller.workers import callout
    from bastide.network.broker.connect import Presented

    monkeypatch.setattr(callout, "presented", lambda certificate: Presented(DEVICE, 7))
    return ConnectRequest(SERVER, 12, "U" + "A" * 55, "10.0.0.7", "x", b"der")


async def test_a_plan_that_changes_while_it_is_signed_is_the_one_that_holds(request_: ConnectRequest) -> None:
    asked = Asked([desired(generation=1), desired(generation=2)])
    assert await asked.callout.decide(request_)
    assert asked.let_in == [2]


async def test_a_device_that_is_quarantined_while_it_connects_is_not_let_in(request_: ConnectRequest) -> None:
    asked = Asked([desired(generation=1), desired(Standing.QUARANTINED, 2)])
    with pytest.raises(Refused) as refused:
        await asked.callout.decide(request_)
    assert refused.value.reason == "broker:standing:quarantined"
    assert asked.let_in == []
    facts = asked.callout.refusals.due(FakeClock().now())
    assert [(fact.kind, fact.body["reason"]) for fact in facts] == [
        ("broker.connect.refused", "broker:standing:quarantined")
    ]


@pytest.mark.parametrize(
    ("plans", "state", "reason"),
    [
        ([None], CredentialState.VALID, "broker:plan:missing"),
        ([desired()], None, "broker:certificate:unknown"),
        ([desired()], CredentialState.REVOKED, "broker:certificate:revoked"),
        ([desired(generation=number) for number in range(1, 9)], CredentialState.VALID, "broker:plan:changing"),
    ],
)
async def test_who_is_not_let_in_is_told_why(
    request_: ConnectRequest, plans: Sequence[Desired | None], state: CredentialState | None, reason: str
) -> None:
    asked = Asked(plans, state)
    with pytest.raises(Refused) as refused:
        await asked.callout.decide(request_)
    assert refused.value.reason == reason
    assert asked.let_in == []


def intake(standing: Standing = Standing.TRUSTED) -> Intake:
    made = Intake()
    made.plan_changed(desired(standing), 0.0)
    return made


def message(number: int, token: bytes = b"t", channel: str = "telemetry") -> tuple[str, str, bytes, bytes]:
    return (DEVICE, channel, b'{"n":%d}' % number, token)


def test_what_comes_again_after_a_crash_is_acknowledged_and_not_kept_twice() -> None:
    made = intake()
    made.expect_again([(DEVICE, "telemetry", 5, {"n": 1})], now=100.0)
    made.take([message(1, b"first"), message(1, b"second"), message(2, b"third")], 101.0)
    assert made.refused == [b"first"]
    assert made.tokens == [b"second", b"third"]
    later = intake()
    later.expect_again([(DEVICE, "telemetry", 5, {"n": 1})], now=100.0)
    later.take([message(1)], 200.0)
    assert later.tokens == [b"t"]


def test_above_its_rate_qos_1_waits_for_its_turn_and_nothing_of_it_is_lost() -> None:
    made = intake()  # 50 a second, 500 at once
    made.take([message(number, b"%d" % number) for number in range(600)], 0.0)
    assert len(made.entries) == 500
    assert [made.holding] == [True]
    made.release(1.0)
    assert len(made.entries) == 550
    made.release(3.0)
    assert [fields["n"] for _, _, _, fields in made.entries] == list(range(600))
    assert [made.holding] == [False]
    counted, _ = made.report()
    assert counted[(DEVICE, Fault.RATE)].count == 100


def test_what_waits_has_a_bound_and_qos_0_does_not_wait() -> None:
    made = intake()
    made.take([message(number) for number in range(500 + MAX_HELD + 10)], 0.0)
    made.take([message(number, b"") for number in range(5)], 0.0)
    assert made.totals.dropped == 15


def test_a_device_that_lost_its_standing_says_nothing_more_and_is_not_acknowledged() -> None:
    made = intake()
    made.take([message(number) for number in range(510)], 0.0)
    made.plan_changed(desired(Standing.QUARANTINED, 2), 0.0)
    made.release(100.0)
    made.take([message(1, b"will", "status")], 100.0)
    assert len(made.entries) == 500
    assert made.refused == []
    assert made.totals.dropped == 11


def test_a_restricted_device_is_heard_on_its_essential_channels() -> None:
    made = intake(Standing.RESTRICTED)
    made.take([message(1), message(2, b"e", "event")], 0.0)
    assert [entry[1] for entry in made.entries] == ["telemetry"]


def test_a_device_without_a_plan_is_not_heard() -> None:
    made = Intake()
    made.take([message(1)], 0.0)
    assert not made.entries
    assert made.totals.dropped == 1
