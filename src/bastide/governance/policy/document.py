"""A policy as its owner writes it: TOML, one ``[[rule]]`` table a rule.

    [[rule]]
    id       = "topic-misuse"
    when     = "broker.publish.denied"   # a kind of evidence; covers the kinds below it
    at_least = 3                         # so many of them, default 1
    within   = "1m"                      # in such a time, default 1h
    then     = "quarantined"             # standing is at most this
    hold     = "15m"                     # for so long after the last one, default 15m
    release  = "person"                  # or "automatic" (default)
    classes  = ["camera"]                # default: all
    because  = "It published on topics that are not its own."

Parsing accepts or raises; nothing unknown is passed over, since a rule that is silently ignored protects nobody.
"""

import hashlib
import tomllib
from typing import Any

import msgspec

from bastide.core.decision import Policy, Release, Rule
from bastide.core.duration import parse_duration
from bastide.core.error import Unreadable
from bastide.core.ids import DeviceClass, RuleId, is_name
from bastide.core.standing import Standing

MAX_DOCUMENT_BYTES = 256 * 1024
MAX_RULES = 1000
_KEYS = {"id", "when", "at_least", "within", "then", "hold", "release", "because", "classes"}
_CAPS = {Standing.QUARANTINED, Standing.PENDING, Standing.RESTRICTED}

_encoder = msgspec.json.Encoder(order="deterministic")


def parse_policy(text: str) -> Policy:
    """The policy that a document says. ``Unreadable`` (code ``policy:document:…``) names the rule and what is wrong."""
    if len(text.encode()) > MAX_DOCUMENT_BYTES:
        raise Unreadable(f"The policy is larger than {MAX_DOCUMENT_BYTES} bytes.", code="policy:document:size")
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Unreadable(f"The policy is not TOML: {error}.", code="policy:document:toml") from error
    unknown = set(document) - {"rule"}
    tables = document.get("rule", [])
    if unknown or not isinstance(tables, list) or len(tables) > MAX_RULES:
        named = ", ".join(sorted(unknown)) or "rule"
        raise Unreadable(
            f"A policy holds at most {MAX_RULES} [[rule]] tables and nothing else; see {named}.",
            code="policy:document:form",
        )
    rules = tuple(_rule(table, number) for number, table in enumerate(tables, start=1))
    if len({rule.id for rule in rules}) != len(rules):
        raise Unreadable("Two rules of the policy have the same id.", code="policy:document:duplicate")
    return Policy(rules=rules, digest=hashlib.sha256(_encoder.encode(rules)).hexdigest())


def _rule(table: Any, number: int) -> Rule:
    if not isinstance(table, dict):
        raise _wrong(f"number {number}", "it is not a table")
    name = f"{table.get('id', f'number {number}')!s:.80}"
    if unknown := set(table) - _KEYS:
        raise _wrong(name, f"{sorted(unknown)[0]!r} is not a key; the keys are {', '.join(sorted(_KEYS))}")
    identifier, kind, because = table.get("id"), table.get("when"), table.get("because")
    if not isinstance(identifier, str) or not is_name(identifier):
        raise _wrong(name, "id must be 1 to 63 characters of a-z 0-9 . _ -")
    if not isinstance(kind, str) or not is_name(kind):
        raise _wrong(name, "when must name a kind of evidence, e.g. broker.publish.denied")
    if not isinstance(because, str) or not because.strip():
        raise _wrong(name, "because must say in a sentence why it holds")
    at_least = table.get("at_least", 1)
    if type(at_least) is not int or not 1 <= at_least <= 1_000_000:
        raise _wrong(name, "at_least must be a whole number from 1 to 1000000")
    classes = table.get("classes", [])
    if not isinstance(classes, list) or not all(isinstance(one, str) and is_name(one) for one in classes):
        raise _wrong(name, "classes must be a list of device classes")
    try:
        cap, release = Standing(str(table.get("then"))), Release(str(table.get("release", "automatic")))
        within, hold = parse_duration(str(table.get("within", "1h"))), parse_duration(str(table.get("hold", "15m")))
    except (ValueError, Unreadable) as error:
        raise _wrong(name, str(error)) from error
    if cap not in _CAPS:
        raise _wrong(name, f"then must be one of {', '.join(sorted(_CAPS))}")
    return Rule(
        id=RuleId(identifier),
        kind=kind,
        at_least=at_least,
        within=within,
        cap=cap,
        hold=hold,
        release=release,
        because=because.strip(),
        classes=tuple(DeviceClass(one) for one in classes),
    )


def _wrong(rule: str, what: str) -> Unreadable:
    return Unreadable(f"Rule {rule} of the policy: {what}.", code="policy:document:rule")


BUILT_IN = """\
# The policy that Bastide starts with. `bastide policy simulate FILE` shows what a changed one would do to every device.

[[rule]]
id = "operator-quarantine"
when = "operator.quarantine"
within = "5200w"
then = "quarantined"
release = "person"
because = "An operator quarantined it."

[[rule]]
id = "topic-misuse"
when = "broker.publish.denied"
at_least = 3
within = "1m"
then = "quarantined"
release = "person"
because = "It kept publishing on topics that are not its own."

[[rule]]
id = "eavesdropping"
when = "broker.subscribe.denied"
at_least = 3
within = "1m"
then = "quarantined"
release = "person"
because = "It kept subscribing to topics that are not its own."

[[rule]]
id = "cloned-identity"
when = "identity.cloned"
within = "5200w"
then = "quarantined"
release = "person"
because = "Its credential was used in two places at once."

[[rule]]
id = "undeclared-data"
when = "ingest.field.undeclared"
at_least = 20
within = "5m"
then = "restricted"
hold = "15m"
because = "It kept sending data that its profile does not declare."

[[rule]]
id = "malformed-data"
when = "ingest.payload"
at_least = 20
within = "5m"
then = "restricted"
hold = "15m"
because = "It kept sending messages that cannot be read or are too large."

[[rule]]
id = "flooding"
when = "ingest.rate.exceeded"
at_least = 200
within = "1m"
then = "restricted"
hold = "15m"
because = "It sent far more messages than its kind ever does."
"""
