"""The operator's words: times, standings, enforcement points and ledger records as sentences.

Console, CLI and API use the same words. A kind of record that nobody described here is still readable: it is said by its
own name.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bastide.core.audit import Personal, Record, Recorded
from bastide.core.plan import (
    BrokerGrant,
    Circle,
    CredentialState,
    NetworkGrant,
    NetworkMode,
    Point,
    UpdateEligibility,
)
from bastide.core.standing import Standing
from bastide.governance.access.roles import Permission

MEANING: Mapping[Standing, str] = {
    Standing.TRUSTED: "may do all that its profile declares",
    Standing.RESTRICTED: "may only do what its work cannot do without",
    Standing.PENDING: "waits for a person or a proof and may do nothing yet",
    Standing.QUARANTINED: "is off the network and may only be repaired",
    Standing.UNKNOWN: "is not known and may do nothing",
    Standing.RETIRED: "has left service and may do nothing",
}

HIDDEN = "(a fact about a person)"

POINT: Mapping[Point, str] = {
    Point.BROKER: "Message broker",
    Point.CREDENTIAL: "Certificate",
    Point.UPDATE: "Updates",
    Point.NETWORK: "Gateway",
}

_CIRCLE = {
    Circle.PROFILE: "whom its profile names",
    Circle.ONBOARDING: "only what it takes to be enrolled",
    Circle.QUARANTINE: "only the hosts that repair",
    Circle.GUEST: "the internet, nothing local",
    Circle.MAINTENANCE: "only what exceptions name",
    Circle.NOTHING: "nobody",
}

_CREDENTIAL = {
    CredentialState.VALID: "valid, may be renewed",
    CredentialState.SUSPENDED: "suspended, may not be renewed",
    CredentialState.REVOKED: "revoked for ever",
}
_UPDATE = {
    UpdateEligibility.NORMAL: "offered in the rollout's order",
    UpdateEligibility.REPAIR: "only releases that repair",
    UpdateEligibility.NONE: "nothing is offered",
}


def ago(then: datetime | None, now: datetime) -> str:
    """How long ago, or how soon: ``12 s ago``, ``in 3 days``; ``never`` for None."""
    if then is None:
        return "never"
    seconds = (now - then).total_seconds()
    if abs(seconds) < 1:
        return "now"
    words = lasting(timedelta(seconds=abs(seconds)))
    return f"{words} ago" if seconds > 0 else f"in {words}"


def lasting(span: timedelta) -> str:
    """A length of time in its largest unit: ``12 s``, ``4 min``, ``3 h``, ``2 days``."""
    seconds = span.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds // 3600:.0f} h"
    if seconds < 730 * 86400:
        return f"{seconds // 86400:.0f} days"
    return f"{seconds // (365.25 * 86400):.0f} years"


def exact(moment: datetime | None) -> str:
    """``2026-11-23 04:05:06 UTC``."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else ""


def counted(count: int, one: str, many: str = "") -> str:
    """``1 device``, ``24 devices``, ``No devices``: a number with the thing that it counts."""
    return f"{count:,} {one if count == 1 else many or one + 's'}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def whole(sentence: str) -> str:
    """The sentence with its full stop."""
    return sentence if not sentence or sentence[-1] in ".!?…" else sentence + "."


def in_words(count: int) -> str:
    """Small numbers as words, as a sentence begins."""
    small = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
    return small[count] if count < len(small) else f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def browser(agent: str) -> str:
    """What a browser calls itself, in the words of people; nothing is decided by it."""
    name = next((word for sign, word in _BROWSERS if sign in agent), "")
    system = next((word for sign, word in _SYSTEMS if sign in agent), "")
    return " on ".join(part for part in (name, system) if part) or agent[:60] or "Unknown"


_BROWSERS = (("Edg/", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"), ("curl/", "curl"))
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


def grant(broker: BrokerGrant) -> str:
    """What a broker grant allows, in a few words."""
    if not broker.may_connect:
        return "may not connect"
    return (
        f"publishes to {counted(len(broker.publish), 'topic')}, listens to {counted(len(broker.subscribe), 'topic')}, "
        f"at most {broker.rate_per_second:g} messages/s"
    )


def network(granted: NetworkGrant) -> str:
    """Whom it may reach."""
    observed = ", watched and not enforced" if granted.mode is NetworkMode.OBSERVE else ""
    return f"may reach {_CIRCLE[granted.circle]}{observed}"


def credential(state: CredentialState) -> str:
    return _CREDENTIAL[state]


def update(state: UpdateEligibility) -> str:
    return _UPDATE[state]


MAY: Mapping[Permission, str] = {
    Permission.FLEET_READ: "See devices, their standing and the reasons",
    Permission.DEVICE_ACT: "Quarantine and release devices",
    Permission.DEVICE_BREAK_GLASS: "Break glass",
    Permission.SCAN_SUBMIT: "Submit scans",
    Permission.CLAIM_READ: "See claims",
    Permission.CLAIM_CHANGE: "Make and revoke claims",
    Permission.ROLLOUT_CHANGE: "Propose, approve and stop rollouts",
    Permission.AUTHORITY_CHANGE: "Install the next issuing CA and root",
    Permission.PROFILE_READ: "See classes and profiles",
    Permission.PROFILE_CHANGE: "Change profiles",
    Permission.POLICY_READ: "See the policy",
    Permission.POLICY_SIMULATE: "Simulate a policy",
    Permission.POLICY_CHANGE: "Put a policy in force",
    Permission.WAIVER_READ: "See waivers",
    Permission.WAIVER_CHANGE: "Grant and end waivers",
    Permission.LEDGER_READ: "Read the ledger and its proofs",
    Permission.LEDGER_EXPORT: "Export evidence",
    Permission.ACCOUNT_OWN: "Keep an account of their own",
    Permission.TOKEN_OWN: "Make API tokens of their own",
    Permission.PEOPLE_READ: "See people and facts about them",
    Permission.PEOPLE_CHANGE: "Add and change people",
}


@dataclass(frozen=True, slots=True)
class Said:
    """A ledger record as a line to read. ``text`` follows the subject's name; ``tone`` is a standing, ``act`` or empty."""

    record: str
    kind: str
    device: str
    person: bool
    name: str
    text: str
    tone: str
    at: datetime
    actor: str
    by_person: bool
    times: int = 1
    others: int = 0


# What a kind of record says after the subject's name, and its tone. ``{…}`` are fields of the body; where one is missing,
# the words before ``;;`` stand alone.
_SAID: Mapping[str, tuple[str, str]] = {
    "enforcement:plan:intended": ("gets a new plan;; ({generation}) for standing {standing}", ""),
    "enforcement:plan:applied": ("is held to its plan;; {generation} at the {point} point: {holds}", ""),
    "enforcement:plan:failed": ("is not held yet;; at the {point}: {error}", "restricted"),
    "inventory:device:seen": ("was seen for the first time;;, by {source}", "act"),
    "enrolment:claim:created": ("A claim was made;; for a device of class {class}", "act"),
    "enrolment:claim:revoked": ("A claim was revoked", "act"),
    "enrolment:vendor:named": ("A vendor was named;;: its devices may enrol by their certificates", "act"),
    "enrolment:vendor:removed": ("A vendor was removed", "act"),
    "enrolment:devices:expected": ("Devices are expected;;: {count} of them", "act"),
    "enrolment:device:not-expected": ("A device is not expected any more;;: {serial}", "act"),
    "enrolment:window:opened": ("A window was opened;; in which devices of class {class} may ask to enrol", "act"),
    "enrolment:window:closed": ("A window for enrolling was closed", "act"),
    "enrolment:request:asked": ("A device asks to enrol;; as {class}", "restricted"),
    "enrolment:request:approved": ("A device was approved;; as {class}", "act"),
    "enrolment:request:declined": ("A device was declined", "act"),
    "signing:device:intended": ("asks for a certificate;;, to {purpose}", ""),
    "signing:device:issued": ("got a certificate;; until {not_after}", "act"),
    "signing:device:refused": ("was refused a certificate;;: {reason}", "restricted"),
    "signing:server:intended": ("A server certificate is asked for", ""),
    "signing:server:issued": ("A server certificate was issued;; until {not_after}", ""),
    "signing:ocsp:intended": ("A certificate for the OCSP responder is asked for", ""),
    "signing:ocsp:issued": ("The OCSP responder got its certificate;; serial {serial}", ""),
    "signing:crl:intended": ("A revocation list is asked for;; with {entries} entries", ""),
    "signing:crl:issued": ("A revocation list was issued;; with {entries} entries", ""),
    "access:session:opened": ("signed in;; by {means}", "act"),
    "access:session:ended": ("signed out", "act"),
    "access:sign-in:failed": ("failed to sign in", "restricted"),
    "access:link:made": ("got a one-time sign-in link", "act"),
    "access:password:set": ("set a password", "act"),
    "access:person:added": ("got an account;; as {role}", "act"),
    "access:person:changed": ("was changed;;: {role}", "act"),
    "access:passkey:registered": ("added a passkey", "act"),
    "access:passkey:removed": ("removed a passkey", "act"),
    "access:token:made": ("An API token was made;; for the role {role}", "act"),
    "access:token:revoked": ("An API token was revoked", "act"),
    "identity:renewals:stopped": ("Renewals stopped coming;;. {what}", "restricted"),
    "operator:device:quarantined": ("was put in quarantine by a person;;: {reason}", "act"),
    "operator:device:retired": ("was retired by a person;;: {reason}", "act"),
    "operator:device:released": ("was released by a person;;: {reason}", "act"),
    "operator:device:break-glass": ("was given {standing} by break-glass;;: {reason}", "act"),
    "policy:document:applied": ("A new policy is in force;;: {reason}", "act"),
    "policy:waiver:granted": ("Rule {rule} is waived;; until {ends_at}: {reason}", "act"),
    "policy:waiver:ended": ("A waiver was ended;;: {reason}", "act"),
    "profile:document:stored": ("Profile {it} was stored", "act"),
    "network:site:described": ("The network of site {it} was described", "act"),
    "network:profile:stored": ("What profile {it} may reach was stored", "act"),
    "network:lesson:begun": ("Profile {it} is being learned;; until {ends_at}", "act"),
    "network:lesson:ended": ("What devices of {it} did was learned;;: {entries} entries wait for a person", ""),
    "network:proposal:made": ("A network part was proposed for {it}", "act"),
    "network:proposal:approved": ("A proposal for {it} was approved;;: {reason}", "act"),
    "network:proposal:declined": ("A proposal for {it} was declined;;: {reason}", "act"),
    "network:proposal:replaced": ("A proposal for {it} stepped back for another", ""),
    "network:flow:allowed": ("may do for a while what its profile denies;;: {reason}", "act"),
    "network:flow:kept-denied": ("stays denied what it asked for;;: {reason}", "act"),
    "network:ruling:ended": ("A word about one flow was taken back", "act"),
    "network:mode:observe": ("is observed: what its profile denies is logged and let through;;: {reason}", "act"),
    "network:mode:enforce": ("is enforced: what its profile denies is dropped;;: {reason}", "act"),
    "network:mode:ended": ("has no mode of its own any more", "act"),
    "network:mode:returned": ("went back to observe by itself;;: {because}", "restricted"),
    "rollout:proposed": ("A rollout of {release} was proposed;; for the class {class}", "act"),
    "rollout:approved": ("A rollout was approved;;: {approvals} of {of}", "act"),
    "rollout:paused": ("A rollout was paused;;: {reason}", "act"),
    "rollout:resumed": ("A rollout goes on", "act"),
    "rollout:ended": ("A rollout was ended;;: {reason}", "act"),
    "rollout:ring:began": ("A rollout goes on to its next ring;;, {ring}", "act"),
    "rollout:stopped": ("A rollout was stopped;;: {because}", "restricted"),
    "update:device:reported": ("says that it runs {version}", ""),
    "update:device:began": ("began an update;; to {version}", ""),
    "update:device:succeeded": ("runs its update", "act"),
    "update:device:failed": ("did not keep its update;;: {because}", "restricted"),
    "class:registered": ("Device class {it} was registered;; with the profile {profile}", "act"),
}


_OBSERVED: Mapping[str, str] = {
    "broker.publish.denied": "tried to publish where it may not",
    "broker.subscribe.denied": "tried to listen where it may not",
    "broker.connect.refused": "was refused a connection",
    "ingest.payload.malformed": "sent what cannot be read",
    "ingest.payload.oversized": "sent a message that is too large",
    "ingest.field.undeclared": "sent a field that its profile does not declare",
    "ingest.channel.undeclared": "used a channel that its profile does not declare",
    "ingest.rate.exceeded": "sent more than its profile allows",
    "identity.enrolled": "proved its identity and enrolled",
    "identity.renewed": "renewed its certificate",
    "identity.cloned": "used one identity in two places at once",
    "identity.claim.reused": "shared its claim with another key",
    "identity.key.shared": "has a key that another device tried to enrol with",
    "identity.renewal.late": "did not renew its certificate, which ends soon",
    "identity.reenrolled": "enrolled again, after a reset",
    "network.flow.denied": "tried to speak to whom its profile does not name",
    "network.name.refused": "asked for a name that its profile does not hold",
    "network.entry.unused": "has an entry in its profile that nothing uses",
    "gateway.rules.drift": "had its rules changed by somebody else",
    "gateway.denials.lost": "could not tell of all that it denied",
    "operator.quarantine": "was put in quarantine by a person",
    "operator.release": "was released by a person",
    "operator.break-glass": "was given another standing by break-glass",
    "traffic.telnet": "spoke Telnet, where passwords travel in the clear",
    "traffic.cleartext-credentials": "sent credentials in the clear",
}


def said(record: Record, body: Mapping[str, Recorded], name: str, actor: str) -> Said:
    """The record in words. ``body`` is as the reader may see it, ``name`` that of the device or person it is about."""
    subject, _, id = record.subject.partition(":")
    text, tone = _text(record.kind, {"it": id, **body})
    person = isinstance(record.actor, Personal) or record.actor.startswith(("person:", "token:"))
    return Said(
        record=record.id,
        kind=record.kind,
        device=id if subject == "device" and name else "",
        person=subject == "person",
        name=name or record.subject,
        text=text,
        tone="act" if person and not tone else tone,
        at=record.at,
        actor=actor,
        by_person=person,
    )


def gathered(lines: Sequence[Said]) -> tuple[Said, ...]:
    """Lines that say the same one after the other as one line that counts them; the newest stands for all."""
    found: list[Said] = []
    for line in lines:
        if found and (found[-1].kind, found[-1].device, found[-1].text, found[-1].actor) == (
            line.kind,
            line.device,
            line.text,
            line.actor,
        ):
            found[-1] = replace(found[-1], times=found[-1].times + 1)
        else:
            found.append(line)
    return tuple(found)


def together(lines: Sequence[Said]) -> tuple[Said, ...]:
    """Devices to which the same happened one after the other as one line, under the newest one's name."""
    found: list[Said] = []
    for line in lines:
        if found and (found[-1].kind, found[-1].text) == (line.kind, line.text):
            elsewhere = bool(line.device) and line.device != found[-1].device
            found[-1] = replace(found[-1], others=found[-1].others + elsewhere, times=found[-1].times + (not elsewhere))
        else:
            found.append(line)
    return tuple(found)


def standing_of(value: Recorded) -> str:
    """The standing that a recorded field names, or nothing."""
    return str(value) if value in list(Standing) else ""


def observed(kind: str, count: int = 1) -> str:
    """What a kind of evidence says of a device, after its name; an unknown kind is said as it is."""
    said = _OBSERVED.get(kind)
    if said is None:
        area, _, rest = kind.partition(".")
        said = f"was seen on the network: {rest.replace('-', ' ')}" if area == "traffic" else f"showed {kind}"
    return f"{said}, {counted(count, 'time')}" if count > 1 else said


def _text(kind: str, body: Mapping[str, Recorded]) -> tuple[str, str]:
    if kind == "evidence:observed":
        count = body.get("count")
        return observed(str(body.get("kind")), count if isinstance(count, int) else 1) + ".", ""
    changed, before = standing_of(body.get("standing")), standing_of(body.get("previous"))
    if changed and before:
        because = str(body.get("because") or "").rstrip(".")
        reason = f": {because}." if because else "."
        if changed == before:
            return f"stays {changed}{reason}", ""
        return f"went from {before} to {changed}{reason}", changed
    pattern, tone = _SAID.get(kind, ("", ""))
    if pattern:
        start, _, rest = pattern.partition(";;")
        return _filled(start + rest, body) or _filled(start, body) or start, tone
    return kind.replace(":", " ").replace(".", " ").replace("-", " "), tone


def _filled(pattern: str, body: Mapping[str, Recorded]) -> str:
    """The pattern with the body's values; empty where one is missing or may not be seen."""
    try:
        text = pattern.format(**{name: _in_text(value) for name, value in body.items() if value != HIDDEN})
    except (KeyError, IndexError, ValueError):
        return ""
    return text.rstrip(".") + "."


_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


def _in_text(value: Recorded) -> str:
    """A recorded value inside a sentence; times as people read them."""
    if isinstance(value, str) and _MOMENT.match(value):
        try:
            return exact(datetime.fromisoformat(value))
        except ValueError:
            return value
    return str(value)
