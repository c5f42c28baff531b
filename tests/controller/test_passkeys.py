"""Passkeys: registering one and signing in with it, with an authenticator in software; and what must not pass."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from bastide.controller.api.access import CSRF_HEADER
from bastide.governance.access.roles import Role
from tests.controller.authenticator import USER_PRESENT, Authenticator, binary
from tests.controller.house import House


async def _register(client: httpx.AsyncClient, key: Authenticator, label: str = "laptop") -> httpx.Response:
    begun = (await client.post("/me/passkeys/challenge")).json()
    body = {"challenge": begun["challenge"], "answer": key.create(begun["options"]), "label": label}
    return await client.post("/me/passkeys", json=body)


async def _begin(client: httpx.AsyncClient) -> dict[str, Any]:
    begun: dict[str, Any] = (await client.post("/sign-in/passkey/challenge")).json()
    return begun


async def _sign_in(client: httpx.AsyncClient, key: Authenticator) -> httpx.Response:
    begun = await _begin(client)
    body = {"challenge": begun["challenge"], "answer": key.get(begun["options"])}
    return await client.post("/sign-in/passkey", json=body)


async def test_a_passkey_is_registered_and_signs_in_without_a_name(house: House) -> None:
    ada = await house.person("ada", Role.OPERATOR)
    browser, key = await house.signed_in(ada), Authenticator()
    made = await _register(browser, key)
    assert made.status_code == 201, made.text
    assert binary(made.json()["id"]) == key.id
    async with house.client() as client:
        answer = await _sign_in(client, key)
        assert answer.status_code == 200, answer.text
        assert answer.json()["name"] == "ada"
        me = (await client.get("/me")).json()
        assert (me["means"], me["role"]) == ("passkey", "operator")
    assert (await browser.get("/me/passkeys")).json()["items"][0]["last_used"] is not None
    await browser.aclose()


async def test_the_options_ask_for_a_discoverable_key_and_a_verified_user(house: House) -> None:
    browser = await house.signed_in(await house.person("ada", Role.OPERATOR))
    key = Authenticator()
    await _register(browser, key)
    options = (await browser.post("/me/passkeys/challenge")).json()["options"]
    assert options["rp"] == {"id": "localhost", "name": "Bastide"}
    assert options["authenticatorSelection"]["residentKey"] == "required"
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert [binary(one["id"]) for one in options["excludeCredentials"]] == [key.id]
    await browser.aclose()


@pytest.mark.parametrize(
    "wrong",
    [
        Authenticator(origin="https://localhost.evil.example:8443"),
        Authenticator(origin="http://localhost:8443"),
        Authenticator(flags=USER_PRESENT),
    ],
    ids=["another origin", "not TLS", "user not verified"],
)
async def test_what_does_not_hold_is_not_registered(house: House, wrong: Authenticator) -> None:
    browser = await house.signed_in(await house.person("ada", Role.OPERATOR))
    answer = await _register(browser, wrong)
    assert answer.status_code == 422
    assert answer.json()["code"] == "access:passkey:refused"
    assert (await browser.get("/me/passkeys")).json()["items"] == []
    await browser.aclose()


async def test_a_challenge_is_good_once_and_for_five_minutes(house: House) -> None:
    browser, key = await house.signed_in(await house.person("ada", Role.OPERATOR)), Authenticator()
    await _register(browser, key)
    async with house.client() as client:
        begun = await _begin(client)
        body = {"challenge": begun["challenge"], "answer": key.get(begun["options"])}
        assert (await client.post("/sign-in/passkey", json=body)).status_code == 200
        assert (await client.post("/sign-in/passkey", json=body)).status_code == 422
        late = await _begin(client)
        house.clock.advance(timedelta(minutes=5))
        body = {"challenge": late["challenge"], "answer": key.get(late["options"])}
        assert (await client.post("/sign-in/passkey", json=body)).status_code == 422
    await browser.aclose()


async def test_an_answer_to_another_challenge_is_refused(house: House) -> None:
    browser, key = await house.signed_in(await house.person("ada", Role.OPERATOR)), Authenticator()
    await _register(browser, key)
    async with house.client() as client:
        one, other = await _begin(client), await _begin(client)
        body = {"challenge": one["challenge"], "answer": key.get(other["options"])}
        assert (await client.post("/sign-in/passkey", json=body)).status_code == 422
    await browser.aclose()


async def test_a_registration_challenge_of_somebody_else_is_refused(house: House) -> None:
    ada = await house.signed_in(await house.person("ada", Role.OPERATOR))
    bob = await house.signed_in(await house.person("bob", Role.OPERATOR))
    begun = (await ada.post("/me/passkeys/challenge")).json()
    body = {"challenge": begun["challenge"], "answer": Authenticator().create(begun["options"]), "label": "x"}
    assert (await bob.post("/me/passkeys", json=body)).status_code == 422
    await ada.aclose()
    await bob.aclose()


async def test_a_key_whose_counter_went_back_is_taken_for_a_copy(house: House) -> None:
    browser, key = await house.signed_in(await house.person("ada", Role.OPERATOR)), Authenticator()
    await _register(browser, key)
    async with house.client() as client:
        assert (await _sign_in(client, key)).status_code == 200
        key.counter = 0
        answer = await _sign_in(client, key)
    assert answer.json()["code"] == "access:passkey:refused"
    await browser.aclose()


async def test_another_keys_signature_is_refused(house: House) -> None:
    browser, key = await house.signed_in(await house.person("ada", Role.OPERATOR)), Authenticator()
    await _register(browser, key)
    async with house.client() as client:
        answer = await _sign_in(client, Authenticator(id=key.id))
    assert answer.status_code == 422
    await browser.aclose()


async def test_a_removed_passkey_and_one_of_a_disabled_account_do_not_sign_in(house: House) -> None:
    ada = await house.person("ada", Role.OPERATOR)
    browser, first, second = await house.signed_in(ada), Authenticator(), Authenticator()
    id = (await _register(browser, first)).json()["id"]
    await _register(browser, second, "phone")
    assert (await browser.delete(f"/me/passkeys/{id}")).status_code == 200
    async with await house.as_a(Role.ADMIN) as admin:
        assert (await admin.get(f"/people/{ada.id}")).json()["passkeys"] == 1
        async with house.client() as client:
            assert (await _sign_in(client, first)).status_code == 422
            assert (await _sign_in(client, second)).status_code == 200
            await admin.patch(f"/people/{ada.id}", json={"enabled": False})
            assert (await _sign_in(client, second)).status_code == 422
    await browser.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"id": 5},
        {"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {}},
        {
            "id": "AAAA",
            "rawId": "AAAA",
            "type": "public-key",
            "response": {"clientDataJSON": "!!", "attestationObject": "%"},
        },
        {
            "id": "AAAA",
            "rawId": "AAAA",
            "type": "public-key",
            "response": {"clientDataJSON": "e30", "attestationObject": "oA"},
        },
        {"id": ["x"], "response": None},
    ],
)
async def test_rubbish_is_refused_and_never_an_error_of_ours(house: House, answer: dict[str, Any]) -> None:
    browser = await house.signed_in(await house.person("ada", Role.OPERATOR))
    begun = (await browser.post("/me/passkeys/challenge")).json()
    body = {"challenge": begun["challenge"], "answer": answer, "label": "x"}
    assert (await browser.post("/me/passkeys", json=body)).status_code == 422
    key = Authenticator()
    await _register(browser, key)
    async with house.client() as client:
        begun = await _begin(client)
        shaped = answer | {"id": key.get(begun["options"])["id"]}
        body = {"challenge": begun["challenge"], "answer": shaped}
        assert (await client.post("/sign-in/passkey", json=body)).status_code == 422
    assert browser.headers[CSRF_HEADER]
    await browser.aclose()
