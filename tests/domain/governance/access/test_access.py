"""Access: roles, scopes, secrets, passwords, throttling, as rules."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.core.ids import DeviceClass, SiteName
from bastide.governance.access import password, secret, session, throttle, token
from bastide.governance.access.error import AccessRefused, NotPermitted
from bastide.governance.access.person import Person, PersonId, check_names
from bastide.governance.access.principal import Means, permissions
from bastide.governance.access.roles import BOUNDLESS_ONLY, MATRIX, Permission, Role
from bastide.governance.access.scope import EVERYTHING, Scope
from bastide.governance.access.session import Session, SessionId
from bastide.governance.access.token import Token, TokenId

NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)
ADA = Person(PersonId("p-" + "a" * 20), "ada", Role.OPERATOR, NOW)
LYON = Scope(sites=(SiteName("lyon"),))
METZ = Scope(sites=(SiteName("metz"),))
LAMPS = Scope(classes=(DeviceClass("lamp"),))

sites = st.lists(st.sampled_from(["lyon", "metz", "brest"]).map(SiteName), unique=True).map(tuple)
classes = st.lists(st.sampled_from(["lamp", "pump"]).map(DeviceClass), unique=True).map(tuple)
scopes = st.builds(Scope, sites=sites, classes=classes)


def test_every_role_has_a_row_and_an_admin_may_all() -> None:
    assert set(MATRIX) == set(Role)
    assert MATRIX[Role.ADMIN] == set(Permission)


def test_who_sees_everything_changes_nothing() -> None:
    changing = {one for one in Permission if one.value.endswith((":change", ":act", ":break-glass", ":submit"))}
    assert not MATRIX[Role.AUDITOR] & changing
    assert not MATRIX[Role.VIEWER] & changing
    assert Permission.LEDGER_EXPORT in MATRIX[Role.AUDITOR]


def test_only_an_admin_changes_people_policy_and_profiles() -> None:
    for permission in (Permission.PEOPLE_CHANGE, Permission.POLICY_CHANGE, Permission.PROFILE_CHANGE):
        assert [role for role in Role if permission in MATRIX[role]] == [Role.ADMIN]


def test_a_limited_admin_loses_what_concerns_the_whole_fleet() -> None:
    assert permissions(Role.ADMIN, EVERYTHING) == set(Permission)
    assert permissions(Role.ADMIN, LYON) == set(Permission) - BOUNDLESS_ONLY


def test_scopes_without_anything_in_common_narrow_to_nothing_and_not_to_everything() -> None:
    assert LYON.narrowed(METZ) is None
    assert LYON.narrowed(LAMPS) == Scope(sites=LYON.sites, classes=LAMPS.classes)
    assert LYON.narrowed(EVERYTHING) == LYON == EVERYTHING.narrowed(LYON)


@given(scopes, scopes)
def test_what_is_left_of_two_scopes_is_within_both(one: Scope, other: Scope) -> None:
    both = one.narrowed(other)
    assert both is None or (both.within(one) and both.within(other))
    assert both == other.narrowed(one) or set(both.sites) == set(other.narrowed(one).sites)  # type: ignore[union-attr]


@given(scopes, scopes)
def test_within_means_that_narrowing_changes_nothing(one: Scope, other: Scope) -> None:
    if one.within(other):
        assert one.narrowed(other) == one


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_secret_is_known_by_its_digest_only(entropy: bytes, other: bytes) -> None:
    text = secret.compose("t-" + "b" * 20, entropy)
    assert secret.handle(text, "t") == "t-" + "b" * 20
    assert secret.handle(text, "s") is None
    assert secret.is_it(text, secret.digest(text))
    assert secret.is_it(secret.compose("t-" + "b" * 20, other), secret.digest(text)) == (entropy == other)
    assert entropy.hex() not in secret.digest(text).hex()


@given(st.text(max_size=120))
def test_a_text_that_is_no_secret_has_no_handle(text: str) -> None:
    handle = secret.handle(text, "t")
    assert handle is None or text.startswith(handle + ".")


def test_too_little_entropy_makes_no_secret() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        secret.compose("t-" + "b" * 20, b"short")


def _session(created: datetime = NOW, used: datetime = NOW) -> Session:
    return Session(SessionId("s-" + "c" * 20), ADA.id, b"", Means.PASSWORD, created, used)


def test_a_session_ends_when_idle_and_in_any_case() -> None:
    assert _session().live_at(NOW + session.IDLE_LIMIT - timedelta(seconds=1))
    assert not _session().live_at(NOW + session.IDLE_LIMIT)
    busy = _session(used=NOW + session.ABSOLUTE_LIMIT - timedelta(minutes=1))
    assert not busy.live_at(NOW + session.ABSOLUTE_LIMIT)
    assert busy.ends_at() == NOW + session.ABSOLUTE_LIMIT


def test_a_csrf_token_is_that_of_one_session_only() -> None:
    one, other = "s-" + "c" * 20 + ".one", "s-" + "c" * 20 + ".two"
    assert session.csrf_holds(one, session.csrf_token(one))
    assert not session.csrf_holds(one, session.csrf_token(other))
    assert not session.csrf_holds(one, "")
    assert one not in session.csrf_token(one)


def _token(role: Role = Role.OPERATOR, scope: Scope = EVERYTHING) -> Token:
    return Token(TokenId("t-" + "d" * 20), ADA.id, "ci", role, b"", NOW, NOW + timedelta(days=1), scope)


def test_a_token_is_never_worth_more_than_its_owner_is_now() -> None:
    demoted = Person(ADA.id, "ada", Role.VIEWER, NOW)
    assert token.principal(_token(), demoted).permissions == MATRIX[Role.VIEWER]
    narrowed = Person(ADA.id, "ada", Role.OPERATOR, NOW, scope=LYON)
    assert token.principal(_token(), narrowed).scope == LYON


def test_a_token_whose_sites_its_owner_lost_is_refused() -> None:
    moved = Person(ADA.id, "ada", Role.OPERATOR, NOW, scope=METZ)
    with pytest.raises(AccessRefused) as refused:
        token.principal(_token(scope=LYON), moved)
    assert refused.value.reason == "access:token:scope"


@pytest.mark.parametrize(
    ("role", "scope", "life", "label", "code"),
    [
        (Role.ADMIN, LYON, timedelta(days=1), "ci", "access:token:role"),
        (Role.AUDITOR, LYON, timedelta(days=1), "ci", "access:token:role"),
        (Role.VIEWER, METZ, timedelta(days=1), "ci", "access:token:scope"),
        (Role.VIEWER, EVERYTHING, timedelta(days=1), "ci", "access:token:scope"),
        (Role.VIEWER, LYON, timedelta(days=367), "ci", "access:token:life"),
        (Role.VIEWER, LYON, timedelta(0), "ci", "access:token:life"),
        (Role.VIEWER, LYON, timedelta(days=1), " ", "access:token:label"),
        (Role.VIEWER, LYON, timedelta(days=1), "a\nb", "access:token:label"),
    ],
)
def test_a_token_that_reaches_further_than_its_owner_is_not_made(
    role: Role, scope: Scope, life: timedelta, label: str, code: str
) -> None:
    owner = Person(ADA.id, "ada", Role.OPERATOR, NOW, scope=LYON)
    with pytest.raises(AccessRefused) as refused:
        token.check_request(owner, label, role, scope, life)
    assert refused.value.reason == code


def test_a_principal_says_which_permission_is_missing() -> None:
    asking = token.principal(_token(Role.VIEWER), ADA)
    with pytest.raises(NotPermitted, match="device:act"):
        asking.demand(Permission.DEVICE_ACT)


@pytest.mark.parametrize(
    "weak",
    [
        "short",
        "elevenchars",
        "x" * 257,
        "aaaaaaaaaaaaaaaa",
        "abcabcabcabcabc",
        "Password1234",
        "p@ssw0rd1234",
        "qwertyuiopas",
        "poiuytrewqlk",
        "abcdefghijklmnop",
        "123456789012345",
        "bastide-ada-1",
        "Bastide2026!",
        "correct horse battery staple",
    ],
)
def test_a_password_that_is_guessed_early_is_refused(weak: str) -> None:
    with pytest.raises(AccessRefused) as refused:
        password.check(weak, "ada")
    assert refused.value.reason == "access:password:weak"


@pytest.mark.parametrize(
    "good", ["tulip forklift seven", "Zg4-mk2.vQ8_wd", "Ἑλλὰς ἡμετέρα πόλις", "lamp over the sea door"]
)
def test_a_good_password_needs_no_symbols(good: str) -> None:
    password.check(good, "ada")


def test_the_same_characters_are_the_same_password_on_every_keyboard() -> None:
    assert password.prepared("cafe\N{COMBINING ACUTE ACCENT}") == password.prepared(
        "caf\N{LATIN SMALL LETTER E WITH ACUTE}"
    )


@given(st.text(max_size=300))
def test_any_text_is_accepted_or_refused_as_a_password(text: str) -> None:
    if password.SHORTEST <= len(password.prepared(text)) <= password.LONGEST:
        with suppress(AccessRefused):  # accepted, or refused for a reason; nothing else comes out
            password.check(text, "operator")
    else:
        with pytest.raises(AccessRefused):
            password.check(text, "operator")


@pytest.mark.parametrize("name", ["", "Ada", "a b", "-ada", "a" * 64, "ada\n", "é"])
def test_an_account_cannot_be_named_so(name: str) -> None:
    with pytest.raises(AccessRefused):
        check_names(name, "Ada")


def _failed(count: int, apart: timedelta = timedelta(seconds=1)) -> list[datetime]:
    return [NOW - apart * number for number in range(count)]


def _wait(pair: int = 0, address: int = 0, account: int = 0, at: datetime = NOW) -> timedelta:
    limits = throttle.keys("ada", "192.0.2.1")
    return throttle.wait(
        limits,
        {
            "pair:ada@192.0.2.1": _failed(pair),
            "address:192.0.2.1": _failed(address),
            "account:ada": _failed(account),
        },
        at,
    )


def test_a_few_wrong_passwords_cost_nothing_then_each_costs_twice_as_much() -> None:
    assert _wait(pair=4) == timedelta(0)
    assert [_wait(pair=count) for count in (5, 6, 7)] == [timedelta(seconds=wait) for wait in (2, 4, 8)]


def test_nobody_is_locked_out_for_ever() -> None:
    assert _wait(pair=64, address=64, account=64) <= timedelta(minutes=15)
    assert _wait(pair=64, address=64, account=64, at=NOW + timedelta(minutes=15)) == timedelta(0)


def test_whoever_guesses_elsewhere_delays_the_owner_by_seconds_only() -> None:
    assert timedelta(0) < _wait(account=64) <= timedelta(seconds=30)


@given(st.integers(0, 64), st.integers(0, 64), st.integers(0, 64))
def test_a_further_failure_never_shortens_the_wait(pair: int, address: int, account: int) -> None:
    assert _wait(pair + 1, address, account) >= _wait(pair, address, account)
