"""A policy document is accepted whole or refused with the place and the reason."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.error import Unreadable
from bastide.core.standing import Standing
from bastide.governance.policy.document import BUILT_IN, parse_policy

RULE = '[[rule]]\nid = "a"\nwhen = "broker.publish.denied"\nthen = "quarantined"\nbecause = "Why."\n'


def test_the_built_in_policy_is_accepted() -> None:
    policy = parse_policy(BUILT_IN)
    assert {rule.id for rule in policy.rules} >= {"operator-quarantine", "topic-misuse", "flooding"}
    assert all(rule.because.endswith(".") for rule in policy.rules)


def test_the_digest_is_of_what_is_said_not_of_how_it_is_written() -> None:
    assert parse_policy(RULE).digest == parse_policy("# a remark\n" + RULE.replace(" = ", "=")).digest
    assert parse_policy(RULE).digest != parse_policy(RULE.replace("quarantined", "restricted")).digest


def test_defaults_are_written_out() -> None:
    (rule,) = parse_policy(RULE).rules
    assert (rule.at_least, rule.cap, rule.release) == (1, Standing.QUARANTINED, "automatic")


@pytest.mark.parametrize(
    ("document", "code", "says"),
    [
        ("not toml", "policy:document:toml", "TOML"),
        ("extra = 1\n" + RULE, "policy:document:form", "extra"),
        (RULE + RULE, "policy:document:duplicate", "same id"),
        (RULE + "sevrity = 3\n", "policy:document:rule", "sevrity"),
        (RULE.replace('"quarantined"', '"trusted"'), "policy:document:rule", "then"),
        (RULE.replace('"quarantined"', '"gone"'), "policy:document:rule", "gone"),
        (RULE + "at_least = 0\n", "policy:document:rule", "at_least"),
        (RULE + "at_least = true\n", "policy:document:rule", "at_least"),
        (RULE + 'within = "soon"\n', "policy:document:rule", "soon"),
        (RULE + 'release = "never"\n', "policy:document:rule", "never"),
        (RULE + 'classes = "camera"\n', "policy:document:rule", "classes"),
        (RULE.replace('because = "Why."', 'because = " "'), "policy:document:rule", "because"),
        (RULE.replace('id = "a"', 'id = "A rule"'), "policy:document:rule", "A rule"),
        ("rule = 3", "policy:document:form", "rule"),
        ("rule = [3]", "policy:document:rule", "table"),
        ("x" * 300_000, "policy:document:size", "larger"),
    ],
)
def test_a_document_that_is_wrong_is_refused_with_the_place(document: str, code: str, says: str) -> None:
    with pytest.raises(Unreadable) as refused:
        parse_policy(document)
    assert refused.value.reason == code
    assert says in refused.value.sentence


@given(st.text(max_size=300))
def test_any_text_is_accepted_or_refused(text: str) -> None:
    with suppress(Unreadable):
        parse_policy(text)
