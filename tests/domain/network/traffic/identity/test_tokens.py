"""Tokens: what another unit of the type says too, and nothing else."""

from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.network.traffic.identity.facets import FACET_OF, FACETS, PRIOR
from bastide.network.traffic.identity.generalise import domain, generalise, host_name
from bastide.network.traffic.identity.observation import Observation
from bastide.network.traffic.identity.tokens import MAX_TOKEN, MAX_TOKENS, tokens_of

MAC = "5c:cf:7f:07:ae:fb"


def test_a_units_own_address_is_taken_out_in_every_form() -> None:
    for text in (f"cam-{MAC}", "cam-5C-CF-7F-07-AE-FB", "cam-5ccf7f07aefb", "cam-07AEFB", "cam-AEFB"):
        assert generalise(text, MAC) == "cam-~"


def test_two_units_of_a_type_say_the_same() -> None:
    one = Observation(mac=MAC, said=frozenset({("hostname", "ESP_07AEFB")}))
    other = Observation(mac="5c:cf:7f:06:d9:02", said=frozenset({("hostname", "ESP_06D902")}))
    assert tokens_of(one) ^ tokens_of(other) == {"block=5c:cf:7f:07", "block=5c:cf:7f:06"}


def test_serial_numbers_addresses_and_uuids_are_taken_out() -> None:
    assert generalise("KEQ0817541", None) == "keq~"
    assert generalise("at 10.10.10.30 now", None) == "at ~ now"
    assert generalise("uuid:2f402f80-da50-11e1-9b23-001788000001", None) == "uuid:~"
    assert generalise("fe80::928d:78ff:fea8:e143", None) == "~"


def test_model_numbers_stay() -> None:
    for model in ("dcs-935l", "hs110(eu)", "bsb002", "sp-1101w", "dch-s150"):
        assert generalise(model.upper(), MAC) == model


def test_a_name_that_was_taken_gets_no_token_of_its_own() -> None:
    assert generalise("Utility (2)", None) == generalise("Utility (3)", None) == "utility"


def test_host_names_keep_the_domain_and_lose_the_shard() -> None:
    assert host_name("r0801.dch.dlink.com", None) == "r#.dch.dlink.com"
    assert domain("r#.dch.dlink.com") == "dlink.com"
    assert domain(host_name("a.shop.example.co.uk", None)) == "example.co.uk"
    assert host_name("4.3.2.1.in-addr.arpa", None) == ""


def test_only_the_makers_part_and_the_block_of_an_address_become_tokens() -> None:
    tokens = tokens_of(Observation(mac=MAC, vendor="Espressif Inc."))
    assert tokens == {"oui=5c:cf:7f", "block=5c:cf:7f:07", "vendor=espressif"}


def test_a_randomised_address_says_nothing_of_the_maker() -> None:
    assert tokens_of(Observation(mac="02:00:00:00:00:01", vendor="X", randomised=True)) == frozenset()


def test_secrets_and_addresses_never_become_tokens() -> None:
    said = frozenset({("credential", "http-basic"), ("address", "10.0.0.7"), ("default-credential", "x")})
    assert tokens_of(Observation(mac=None, said=said)) == frozenset()


def test_the_clients_name_stays_when_its_version_changes() -> None:
    old = tokens_of(Observation(said=frozenset({("vendor-class", "udhcp 1.21.1")})))
    new = tokens_of(Observation(said=frozenset({("vendor-class", "udhcp 1.30.0")})))
    assert old & new == {"dhcp-client=udhcp"}


def test_every_word_has_a_facet_and_every_facet_a_prior() -> None:
    assert set(FACET_OF.values()) == set(FACETS)
    assert len(PRIOR) == len(FACETS)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([*FACET_OF, "hostname", "credential"]), st.text(max_size=300)), max_size=60),
    st.sampled_from([None, MAC, "00:00:00:00:00:00"]),
)
def test_whatever_is_said_tokens_are_bounded_and_known(said: list[tuple[str, str]], mac: str | None) -> None:
    tokens = tokens_of(Observation(mac=mac, said=frozenset(said)))
    assert len(tokens) <= MAX_TOKENS
    assert all(len(token) <= MAX_TOKEN and token.split("=", 1)[0] in FACET_OF for token in tokens)


@settings(deadline=None)
@given(st.text(max_size=200), st.binary(min_size=6, max_size=6))
def test_generalising_twice_changes_nothing_more_than_once_could(text: str, raw: bytes) -> None:
    mac = raw.hex(":")
    assert mac not in generalise(text + mac, mac)
