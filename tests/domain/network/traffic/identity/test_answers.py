"""Who is it? Ranked, calibrated, with reasons; and *unknown* when nothing fits."""

import pytest

from bastide.core.error import Refused
from bastide.network.traffic.identity.base import Base
from bastide.network.traffic.identity.evaluate import cross_validated, figures
from bastide.network.traffic.identity.learn import Sample, TooFew, learn, parts_of, without
from bastide.network.traffic.identity.match import Matcher, shares
from bastide.network.traffic.identity.observation import Observation
from bastide.network.traffic.identity.tokens import tokens_of
from tests.domain.network.traffic.identity.fleet import KINDS, device, samples


@pytest.fixture(scope="module")
def base() -> Base:
    return learn(samples())


@pytest.fixture(scope="module")
def matcher(base: Base) -> Matcher:
    return Matcher(base)


def test_another_unit_of_a_learned_type_is_named_with_the_tokens_that_speak_for_it(matcher: Matcher) -> None:
    for kind in KINDS:
        answer = matcher.answer(tokens_of(device(kind, 200)))
        assert answer.value == kind
        assert answer.confidence > 0.8
        assert answer.because
        assert answer.candidates[0].type == kind
        assert answer.siblings == ()


def test_candidates_are_ranked_and_their_confidence_is_no_more_than_one(matcher: Matcher) -> None:
    answer = matcher.answer(tokens_of(device("plug", 201)))
    stated = [each.confidence for each in answer.candidates]
    assert stated == sorted(stated, reverse=True)
    assert sum(stated) <= 1.0


def test_a_device_that_is_like_nothing_is_unknown(matcher: Matcher) -> None:
    strange = Observation(
        mac="aa:bb:cc:00:00:01".replace("aa", "a8"),
        vendor="Other",
        said=frozenset({("model", "Z-9"), ("hostname", "thing"), ("vendor-class", "lwip"), ("query", "z.example")}),
    )
    answer = matcher.answer(tokens_of(strange))
    assert answer.value is None
    assert answer.unknown > 0.5


def test_a_device_of_which_nothing_was_seen_is_unknown(matcher: Matcher) -> None:
    assert matcher.answer(frozenset()).value is None


def test_another_model_of_a_known_maker_is_unknown_and_the_near_one_is_named() -> None:
    matcher = Matcher(learn(samples()))
    said = frozenset(entry for entry in KINDS["plug"][0] if entry[0] not in ("model", "hostname"))
    other = Observation(
        mac="00:11:22:00:00:09", vendor="Plug Makers", said=said | {("model", "Q-7"), ("hostname", "lamp")}
    )
    answer = matcher.answer(tokens_of(other))
    assert answer.value is None
    assert answer.candidates[0].type == "plug"


def test_types_that_say_the_same_are_siblings_and_said_to_be() -> None:
    quiet = [tokens_of(device("plug", 2 * unit)) for unit in range(12)]
    twins = [Sample(tokens, f"plug-{place % 2}") for place, tokens in enumerate(quiet)]
    base = learn([*twins, *samples(6, ("camera", "hub", "scale"))])
    assert ("plug-0", "plug-1") in base.siblings
    answer = Matcher(base).answer(twins[0].tokens)
    assert answer.siblings == ("plug-0", "plug-1")
    assert answer.confidence < 0.7


def test_between_types_that_say_the_same_the_block_of_addresses_decides_and_nothing_else() -> None:
    quiet = [tokens_of(device("plug", 2 * unit)) for unit in range(12)]
    bare = [frozenset(token for token in tokens if not token.startswith("block=")) for tokens in quiet]
    twins = [
        Sample(tokens | {f"block=00:11:22:{place % 2:02x}"}, f"plug-{place % 2}") for place, tokens in enumerate(bare)
    ]
    matcher = Matcher(learn([*twins, *samples(6, ("camera", "hub", "scale"))]))
    for number in (0, 1):
        answer = matcher.answer(bare[0] | {f"block=00:11:22:{number:02x}"})
        assert answer.value == f"plug-{number}"
        assert answer.because[0] == f"address block: 00:11:22:{number:02x}"
        assert answer.siblings == ("plug-0", "plug-1")
    elsewhere = matcher.answer(bare[0] | {"block=00:11:22:77"})
    assert elsewhere.siblings == ("plug-0", "plug-1")
    assert elsewhere.confidence < 0.7
    # What says something else is not made one of them by its block.
    assert matcher.answer(frozenset({"model=z-9", "vendor=other", "block=00:11:22:00"})).value is None


def test_two_firmwares_of_a_type_are_both_that_type() -> None:
    newer = [
        Sample(
            tokens_of(
                Observation(
                    mac=f"00:11:22:00:01:{unit:02x}",
                    vendor="Plug Makers",
                    said=frozenset(
                        {
                            ("model", "P-100"),
                            ("vendor-class", "lwip 2"),
                            ("dhcp-parameters", "9,9"),
                            ("service", "_plug._tcp"),
                            ("ja4", "t13x"),
                            ("query", "new.example"),
                        }
                    ),
                )
            ),
            "plug",
        )
        for unit in range(6)
    ]
    base = learn([*samples(), *newer])
    plug = next(each for each in base.types if each.name == "plug")
    assert len(plug.variants) == 2
    assert Matcher(base).answer(newer[0].tokens).value == "plug"
    assert Matcher(base).answer(tokens_of(device("plug", 202))).value == "plug"


def test_a_capture_that_began_after_the_device_joined_still_names_it(matcher: Matcher) -> None:
    late = frozenset(
        token for token in tokens_of(device("plug", 203)) if not token.startswith(("dhcp", "vendor-class"))
    )
    assert matcher.answer(late).value == "plug"


def test_one_capture_of_each_type_is_enough_to_begin_with() -> None:
    base = learn(samples(1))
    assert Matcher(base).answer(tokens_of(device("camera", 9))).value == "camera"


def test_the_same_samples_give_the_same_base(base: Base) -> None:
    assert learn(samples()) == base


def test_nothing_to_learn_from_is_said() -> None:
    with pytest.raises(TooFew):
        learn([])
    with pytest.raises(Refused, match="type's name"):
        learn([Sample(frozenset(), "a\nb")])


def test_taking_a_type_away_leaves_what_the_scores_of_the_others_give() -> None:
    import numpy as np

    scores = np.array([2.0, 0.5, -1.0])
    rest = without(shares(scores), 0)
    assert rest[0] == 0
    assert rest[1:] == pytest.approx(shares(scores[1:]))


def test_figures_count_unknown_as_wrong_and_devices_never_learned_apart(matcher: Matcher) -> None:
    answers = [("plug", matcher.answer(tokens_of(device("plug", 1)))), ("plug", matcher.answer(frozenset()))]
    answers.append(("kettle", matcher.answer(frozenset())))
    told = figures(answers, frozenset(matcher.names))
    assert (told["n"], told["accuracy"]) == (2, 0.5)
    assert told["per_type"]["plug"]["unknown"] == 1
    assert told["unknown"]["never_learned_n"] == 1
    assert told["unknown"]["never_learned_rate"] == 1.0
    assert sum(each["n"] for each in told["calibration"]) == 1


def test_cross_validation_never_asks_about_what_was_taught() -> None:
    each = samples(4)
    answers = cross_validated(each, parts_of(each, 4))
    assert len(answers) == len(each)
    assert figures(answers, frozenset(KINDS))["accuracy"] == 1.0
