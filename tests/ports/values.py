"""Values to write, each with what a test is about handed in."""

from datetime import datetime, timedelta
from typing import Any

from bastide.core.decision import Decision, Held, Policy, Release, Rule, Waiver
from bastide.core.device import Attribute, Device
from bastide.core.evidence import Evidence, Subject, SubjectKind, Trust
from bastide.core.finding import Finding, Severity
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
from bastide.core.plan import BrokerGrant, CredentialState, Outcome, Plan, Point, UpdateEligibility
from bastide.core.standing import Stage, Standing
from bastide.testing.clock import EPOCH, SequentialIds

A = DeviceId(SequentialIds("a").mint("d"))
B = DeviceId(SequentialIds("b").mint("d"))
HOUR = timedelta(hours=1)


def device(id_: DeviceId = A, **changes: Any) -> Device:
    values: dict[str, Any] = {
        "device_class": DeviceClass("thermostat"),
        "owner": OwnerName("facilities"),
        "site": SiteName("lyon"),
        "zone": ZoneName("floor-2"),
        "profile": ProfileName("thermostat"),
        "standing": Standing.TRUSTED,
        "stage": Stage.IN_SERVICE,
        "created_at": EPOCH,
        "attributes": (Attribute("vendor", "Ærø & Søn", "dhcp", 0.6, EPOCH),),
    }
    return Device(id=id_, **values | changes)


def evidence(
    number: int, subject: Subject | None = None, kind: str = "broker.publish.denied", **changes: Any
) -> Evidence:
    at = EPOCH + timedelta(seconds=number)
    values: dict[str, Any] = {
        "source": "broker",
        "trust": Trust.AUTHENTICATED,
        "observed_at": at,
        "received_at": at,
        "fresh_for": HOUR,
        "body": {"topic": "devices/other/telemetry", "qos": 1, "retained": False, "ratio": 0.5, "reason": None},
    }
    about = subject or Subject(SubjectKind.DEVICE, A)
    return Evidence(id=EvidenceId(f"e-{number:020d}"), kind=kind, subject=about, **values | changes)


def finding(code: str = "traffic:telnet", subject: Subject | None = None, at: datetime = EPOCH) -> Finding:
    about = subject or Subject(SubjectKind.DEVICE, A)
    because = (EvidenceId("e-1"),)
    return Finding(code, about, Severity.HIGH, 0.9, "Telnet is open", "Close it.", at, because)


def decision(id_: DeviceId = A, at: datetime = EPOCH, standing: Standing = Standing.QUARANTINED) -> Decision:
    held = Held(RuleId("topic-misuse"), standing, "it published elsewhere", (EvidenceId("e-1"),), at + HOUR)
    return Decision(id_, standing, Standing.TRUSTED, "topic misuse", (held,), "0" * 64, at, at + HOUR)


def plan(id_: DeviceId = A, generation: int = 1) -> Plan:
    grant = BrokerGrant((f"devices/{id_}/telemetry",), (f"devices/{id_}/commands",), 2.5, 4096)
    return Plan(id_, generation, Standing.TRUSTED, grant, CredentialState.VALID, UpdateEligibility.NORMAL, EPOCH)


def outcome(point: Point, generation: int = 1, error: str = "", id_: DeviceId = A) -> Outcome:
    return Outcome(id_, point, generation, EPOCH + timedelta(seconds=generation), f"generation {generation}", error)


def policy(digest: str = "1" * 64) -> Policy:
    rule = Rule(
        id=RuleId("topic-misuse"),
        kind="broker",
        at_least=3,
        within=timedelta(seconds=10),
        cap=Standing.QUARANTINED,
        hold=HOUR,
        release=Release.PERSON,
        because="it reaches for what is not its own",
        classes=(DeviceClass("thermostat"),),
    )
    return Policy((rule,), digest)


def waiver(id_: str = "w-1", starts: datetime = EPOCH, ends: datetime = EPOCH + HOUR) -> Waiver:
    subject = Subject(SubjectKind.DEVICE, A)
    return Waiver(WaiverId(id_), RuleId("topic-misuse"), subject, OwnerName("facilities"), "maintenance", starts, ends)
