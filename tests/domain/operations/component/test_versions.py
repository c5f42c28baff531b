"""The order of versions and what ranges hold: each ecosystem's own rules, and *unknown* where there is no order."""

import json
import random
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.error import Unreadable
from bastide.operations.component import vers
from bastide.operations.component.vers import Answer, contains, from_native, ordered, parse
from bastide.operations.component.version import SCHEMES, Order, compare, place, scheme_named
from tests.peers import SHARED

VERSIONS = SHARED / "versions"


def shared_cases(*kinds: str) -> Iterator[Any]:
    for file in sorted(VERSIONS.glob("*.json")):
        for case in json.loads(file.read_text()).get("tests", []):
            if case["test_type"] in kinds:
                yield case


@pytest.mark.skipif(not VERSIONS.is_dir(), reason="the shared version cases are not here")
def test_the_vers_specs_comparisons_agree() -> None:
    seen = 0
    for case in shared_cases("comparison", "equality"):
        seen += 1
        scheme = scheme_named(case["input"]["input_scheme"])
        one, other = case["input"]["versions"]
        if case["test_type"] == "equality":
            assert (compare(scheme, one, other).order is Order.SAME) == case["expected_output"], case
        else:
            # NuGet's cases give the versions in lower case, which is how NuGet compares them.
            got = ordered(scheme, [one, other])
            assert [text.lower() for text in got] == [text.lower() for text in case["expected_output"]], case
    assert seen > 800


@pytest.mark.skipif(not VERSIONS.is_dir(), reason="the shared version cases are not here")
def test_the_vers_specs_native_ranges_agree() -> None:
    for case in shared_cases("from_native"):
        assert str(from_native(case["input"]["scheme"], case["input"]["native_range"])) == case["expected_output"]


@pytest.mark.skipif(not VERSIONS.is_dir(), reason="the shared version cases are not here")
def test_the_vers_specs_canonical_form_is_kept() -> None:
    for case in shared_cases("parse"):
        if case.get("expected_failure"):
            with pytest.raises(Unreadable, match=case["expected_message"].replace("(", r"\(")):
                parse(case["input"])
        else:
            read = parse(case["input"])
            assert read.scheme.name == case["expected_output"]["scheme"]
            constraints = [[one.comparator, one.version] for one in read.constraints]
            assert constraints == case["expected_output"]["version_constraints"]
            assert str(read) == case["input"]


@pytest.mark.parametrize(
    ("scheme", "one", "order", "other"),
    [
        ("semver", "1.0.0-rc.1", "<", "1.0.0"),
        ("semver", "1.0.0-2", "<", "1.0.0-11"),
        ("semver", "1.0.0+a", "=", "1.0.0+b"),
        ("deb", "1.0~rc1-1", "<", "1.0-1"),
        ("deb", "1:0.9", ">", "2.0"),
        ("rpm", "1.0~rc1-1", "<", "1.0-1"),
        ("rpm", "1.0^git1", ">", "1.0"),
        ("apk", "1.2.3_rc1-r0", "<", "1.2.3-r0"),
        ("pypi", "1.0.dev1", "<", "1.0a1"),
        ("pypi", "1.0", "=", "1.0.0"),
        ("maven", "1.0-SNAPSHOT", "<", "1.0"),
        ("gem", "1.0.a", "<", "1.0"),
        ("nuget", "1.0.0.0", "=", "1.0"),
        ("composer", "1.0.0-RC1", ">", "1.0.0-beta2"),
        ("composer", "1.0.0-p1", ">", "1.0.0"),
        ("openssl", "1.0.2zg", ">", "1.0.2z"),
        ("openssl", "1.1.1w", "<", "3.0.0"),
        ("golang", "v0.0.0-20200101000000-abcdefabcdef", "<", "v0.0.0-20210101000000-abcdefabcdef"),
        ("generic", "1.10", ">", "1.9"),
        ("Debian:12", "1.0-1", "<", "1.0-2"),
    ],
)
def test_an_ecosystem_keeps_its_own_order(scheme: str, one: str, order: str, other: str) -> None:
    assert compare(scheme_named(scheme), one, other).order == order


@pytest.mark.parametrize(
    ("scheme", "version"),
    [
        ("semver", "1.2.3 SP1"),
        ("semver", "1.x"),
        ("npm", "1.2.3.4"),
        ("generic", "V4.1 Update 2"),
        ("generic", "1.0a"),
        ("deb", "latest"),
        ("pypi", "r15"),
        ("composer", "dev-main"),
        ("semver", "１.２.３"),
        ("deb", "1" * 300),
    ],
)
def test_an_order_is_never_guessed(scheme: str, version: str) -> None:
    found = compare(scheme_named(scheme), version, "1.0")
    assert found.order is Order.UNKNOWN
    assert found.because


def test_a_name_without_an_order_is_refused() -> None:
    with pytest.raises(Unreadable, match="no version scheme"):
        scheme_named("firmware")


@pytest.mark.parametrize(
    ("text", "version", "answer"),
    [
        ("vers:npm/>=1.0.0|<2.0.0", "1.5.0", Answer.YES),
        ("vers:npm/>=1.0.0|<2.0.0", "2.0.0", Answer.NO),
        ("vers:npm/>=1.0.0|<2.0.0", "2.0.0-rc.1", Answer.YES),
        ("vers:npm/1.2.3|>=2.0.0|<5.0.0", "1.2.3", Answer.YES),
        ("vers:npm/1.2.3|>=2.0.0|<5.0.0", "1.2.4", Answer.NO),
        ("vers:npm/<1.0.0|>=2.0.0|!=3.0.0", "3.0.0", Answer.NO),
        ("vers:npm/<1.0.0|>=2.0.0|!=3.0.0", "0.1.0", Answer.YES),
        ("vers:npm/<1.0.0|>=2.0.0|!=3.0.0", "9.0.0", Answer.YES),
        ("vers:npm/!=1.2.3", "1.2.4", Answer.YES),
        ("vers:npm/*", "anything at all", Answer.YES),
        ("vers:none/*", "1", Answer.NO),
        ("vers:deb/<1:2", "latest", Answer.UNKNOWN),
        ("vers:generic/1.2%20SP1", "1.2 SP1", Answer.YES),
        ("vers:generic/<=1.2%20SP1", "1.1", Answer.UNKNOWN),
    ],
)
def test_a_range_answers_in_three_values(text: str, version: str, answer: Answer) -> None:
    found = contains(parse(text), version)
    assert found.answer is answer
    assert found.because


PLAIN = st.lists(st.integers(0, 30), min_size=3, max_size=3).map(lambda parts: ".".join(map(str, parts)))


@given(st.sampled_from(sorted(SCHEMES)), PLAIN, PLAIN, PLAIN)
def test_every_order_is_one(scheme: str, one: str, two: str, three: str) -> None:
    known = SCHEMES[scheme]
    if not all(place(known, text).known for text in (one, two, three)):
        return
    turned = {Order.BEFORE: Order.AFTER, Order.AFTER: Order.BEFORE, Order.SAME: Order.SAME}
    assert compare(known, two, one).order is turned[compare(known, one, two).order]
    low, middle, high = ordered(known, [one, two, three])
    assert compare(known, low, high).order is not Order.AFTER
    assert compare(known, low, middle).order is not Order.AFTER


@given(st.lists(PLAIN, min_size=2, max_size=2, unique=True), PLAIN)
def test_a_span_holds_what_stands_between_its_ends(ends: list[str], version: str) -> None:
    npm = SCHEMES["npm"]
    low, high = ordered(npm, ends)
    inside = compare(npm, low, version).order is not Order.AFTER and compare(npm, version, high).order is Order.BEFORE
    assert (contains(parse(f"vers:npm/>={low}|<{high}"), version).answer is Answer.YES) == inside


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    for whole in (text, f"vers:{text}", f"vers:deb/{text}"):
        try:
            read = vers.parse(whole)
        except Unreadable:
            continue
        contains(read, text)


def debian_version(draw: random.Random) -> str:
    epoch = f"{draw.randint(0, 2)}:" if draw.random() < 0.2 else ""
    return (epoch + str(draw.randint(0, 3)) + "".join(draw.choices("0123ab.+~-", k=draw.randint(0, 6)))).rstrip("-")


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg, the second engine, is not here")
def test_dpkg_orders_debian_versions_as_we_do() -> None:
    draw = random.Random(20261126)
    pairs = [(debian_version(draw), debian_version(draw)) for _ in range(200)]
    is_ = "dpkg --compare-versions"
    asked = "\n".join(
        f"{is_} '{a}' lt '{b}' && echo '<' || ({is_} '{a}' eq '{b}' && echo '=' || echo '>')" for a, b in pairs
    )
    told = subprocess.run(["sh", "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    assert [compare(SCHEMES["deb"], a, b).order.value for a, b in pairs] == told
