"""Signing in, and what keeps a session from being anybody else's."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from bastide.controller.api.access import COOKIE, CSRF_HEADER
from bastide.core.audit import Personal
from bastide.flows.first_run import first_run, local_token, way_in
from bastide.flows.manage_people import new_link
from bastide.governance.access.roles import Role
from bastide.governance.access.session import ABSOLUTE_LIMIT, IDLE_LIMIT
from tests.controller.house import LAMP, ORIGIN, House

GOOD = "tulip forklift seven"


async def _set_password(house: House, client: httpx.AsyncClient, password: str = GOOD) -> None:
    answer = await client.put("/me/password", json={"new": password})
    assert answer.status_code == 204, answer.text


async def test_a_link_opens_one_session_once(house: House) -> None:
    ada = await house.person("ada", Role.OPERATOR)
    link = await new_link(house.door, "system:test", ada)
    client = house.client()
    first = await client.post("/sign-in/link", json={"link": link})
    assert first.status_code == 200
    assert first.json()["name"] == "ada"
    assert (await client.get("/me")).json()["means"] == "link"
    second = await house.client().post("/sign-in/link", json={"link": link})
    assert second.status_code == 422
    assert second.json()["code"] == "access:link:refused"
    await client.aclose()


async def test_of_many_at_once_one_wins_a_link(house: House) -> None:
    ada = await house.person("ada", Role.OPERATOR)
    link = await new_link(house.door, "system:test", ada)
    clients = [house.client() for _ in range(8)]
    answers = await asyncio.gather(*(client.post("/sign-in/link", json={"link": link}) for client in clients))
    assert sorted(answer.status_code for answer in answers) == [200] + [422] * 7
    for client in clients:
        await client.aclose()


async def test_a_link_ends_after_a_day_and_when_a_newer_one_is_made(house: House) -> None:
    ada = await house.person("ada", Role.OPERATOR)
    older = await new_link(house.door, "system:test", ada)
    newer = await new_link(house.door, "system:test", ada)
    async with house.client() as client:
        assert (await client.post("/sign-in/link", json={"link": older})).status_code == 422
        house.clock.advance(timedelta(hours=24))
        assert (await client.post("/sign-in/link", json={"link": newer})).status_code == 422


async def test_the_cookie_is_for_this_host_only_and_out_of_reach_of_scripts(house: House) -> None:
    ada = await house.person("ada", Role.OPERATOR)
    link = await new_link(house.door, "system:test", ada)
    async with house.client() as client:
        cookie = (await client.post("/sign-in/link", json={"link": link})).headers["set-cookie"]
    assert cookie.startswith("__Host-bastide=s-")
    for attribute in ("Secure", "HttpOnly", "SameSite=strict", "Path=/"):
        assert attribute.lower() in cookie.lower()
    assert "domain" not in cookie.lower()


async def test_a_change_by_session_needs_its_csrf_token(house: House) -> None:
    client = await house.signed_in(await house.person("ada", Role.OPERATOR))
    token = client.headers.pop(CSRF_HEADER)
    body = {"reason": "smoke"}
    for wrong in ("", "x", token[:-1]):
        headers = {CSRF_HEADER: wrong} if wrong else {}
        answer = await client.post(f"/devices/{LAMP}/quarantine", json=body, headers=headers)
        assert answer.status_code == 403
        assert answer.json()["code"] == "access:csrf"
    right = await client.post(f"/devices/{LAMP}/quarantine", json=body, headers={CSRF_HEADER: token})
    assert right.status_code == 200
    await client.aclose()


async def test_a_csrf_token_of_another_session_is_refused(house: House) -> None:
    ada = await house.signed_in(await house.person("ada", Role.OPERATOR))
    bob = await house.signed_in(await house.person("bob", Role.OPERATOR))
    ada.headers[CSRF_HEADER] = bob.headers[CSRF_HEADER]
    assert (await ada.post("/sign-out")).status_code == 403
    await ada.aclose()
    await bob.aclose()


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_what_another_site_makes_the_browser_send_is_refused(house: House, site: str) -> None:
    client = await house.signed_in(await house.person("ada", Role.OPERATOR))
    answer = await client.post("/sign-out", headers={"Sec-Fetch-Site": site})
    assert answer.json()["code"] == "access:cross-site"
    link = {"link": "l-" + "a" * 20 + "." + "a" * 43}
    signing_in = await client.post("/sign-in/link", json=link, headers={"Sec-Fetch-Site": site})
    assert signing_in.json()["code"] == "access:cross-site"
    await client.aclose()


async def test_a_session_ends_when_it_is_idle(house: House) -> None:
    client = await house.signed_in(await house.person("ada", Role.VIEWER))
    house.clock.advance(IDLE_LIMIT - timedelta(minutes=1))
    assert (await client.get("/me")).status_code == 200
    house.clock.advance(IDLE_LIMIT - timedelta(minutes=1))
    assert (await client.get("/me")).status_code == 200
    house.clock.advance(IDLE_LIMIT)
    assert (await client.get("/me")).status_code == 401
    await client.aclose()


async def test_a_busy_session_ends_too(house: House) -> None:
    client = await house.signed_in(await house.person("ada", Role.VIEWER))
    for _ in range(int(ABSOLUTE_LIMIT / timedelta(hours=1)) - 1):
        house.clock.advance(timedelta(hours=1))
        assert (await client.get("/me")).status_code == 200
    house.clock.advance(timedelta(hours=1))
    assert (await client.get("/me")).status_code == 401
    await client.aclose()


async def test_sign_out_ends_the_session_on_the_server(house: House) -> None:
    client = await house.signed_in(await house.person("ada", Role.VIEWER))
    cookie = client.cookies[COOKIE]
    assert (await client.post("/sign-out")).status_code == 204
    async with house.client() as thief:
        thief.cookies.set(COOKIE, cookie)
        assert (await thief.get("/me")).status_code == 401
    await client.aclose()


async def test_disabling_an_account_ends_its_sessions_tokens_and_links_at_once(house: House) -> None:
    ada = await house.person("ada", Role.OPERATOR)
    browser, program = await house.signed_in(ada), house.client(await house.token(ada))
    link = await new_link(house.door, "system:test", ada)
    async with await house.as_a(Role.ADMIN) as admin:
        answer = await admin.patch(f"/people/{ada.id}", json={"enabled": False})
        assert answer.json()["disabled_at"] is not None
        refused = await admin.post(f"/people/{ada.id}/sign-in-links")
        assert refused.json()["code"] == "access:person:disabled"
    assert (await browser.get("/me")).status_code == 401
    assert (await program.get("/me")).status_code == 401
    assert (await house.client().post("/sign-in/link", json={"link": link})).status_code == 422
    await browser.aclose()
    await program.aclose()


async def test_the_last_admin_cannot_be_lost(house: House) -> None:
    root = await house.person("root", Role.ADMIN)
    client = await house.signed_in(root)
    for change in ({"enabled": False}, {"role": "viewer"}, {"scope": {"sites": ["lyon"], "classes": []}}):
        answer = await client.patch(f"/people/{root.id}", json=change)
        assert answer.status_code == 409, change
    assert (await client.get("/me")).json()["role"] == "admin"
    await client.aclose()


async def test_a_password_signs_in_and_setting_it_ends_other_sessions(house: House) -> None:
    ada = await house.person("ada", Role.VIEWER)
    elsewhere, here = await house.signed_in(ada), await house.signed_in(ada)
    await _set_password(house, here)
    assert (await elsewhere.get("/me")).status_code == 401
    assert (await here.get("/me")).status_code == 200
    async with house.client() as client:
        answer = await client.post("/sign-in/password", json={"name": "ada", "password": GOOD})
        assert answer.status_code == 200
        client.headers[CSRF_HEADER] = answer.json()["csrf"]
        wrong = await client.put("/me/password", json={"current": "not it at all", "new": "another good phrase"})
        assert wrong.json()["code"] == "access:password:current"
        right = await client.put("/me/password", json={"current": GOOD, "new": "another good phrase"})
        assert right.status_code == 204
    await elsewhere.aclose()
    await here.aclose()


async def test_a_weak_password_is_refused_with_the_reason(house: House) -> None:
    client = await house.signed_in(await house.person("ada", Role.VIEWER))
    answer = await client.put("/me/password", json={"new": "password1234"})
    assert answer.status_code == 422
    assert answer.json()["code"] == "access:password:weak"
    await client.aclose()


async def test_whoever_guesses_does_not_learn_which_accounts_exist(house: House) -> None:
    ada = await house.person("ada", Role.VIEWER)
    client = await house.signed_in(ada)
    await _set_password(house, client)
    await house.person("bob", Role.VIEWER)  # has no password
    answers = []
    for name in ("ada", "bob", "nobody-here"):
        async with house.client() as guesser:
            answers.append(await guesser.post("/sign-in/password", json={"name": name, "password": "a guess, no more"}))
    assert {answer.status_code for answer in answers} == {422}
    assert len({answer.text for answer in answers}) == 1
    await client.aclose()


async def test_guessing_gets_slow_and_the_owner_still_gets_in(house: House) -> None:
    ada = await house.person("ada", Role.VIEWER)
    await _set_password(house, await house.signed_in(ada))
    async with house.client() as guesser:
        for _ in range(5):
            await guesser.post("/sign-in/password", json={"name": "ada", "password": "a guess, no more"})
        slowed = await guesser.post("/sign-in/password", json={"name": "ada", "password": GOOD})
        assert slowed.status_code == 429
        assert int(slowed.headers["Retry-After"]) >= 1
        by_link = await house.signed_in(ada)
        assert (await by_link.get("/me")).status_code == 200
        house.clock.advance(timedelta(seconds=int(slowed.headers["Retry-After"])))
        assert (await guesser.post("/sign-in/password", json={"name": "ada", "password": GOOD})).status_code == 200
        # A right password takes the count back.
        wrong = await guesser.post("/sign-in/password", json={"name": "ada", "password": "a guess, no more"})
        assert wrong.json()["code"] == "access:sign-in:wrong"
        await by_link.aclose()


async def test_names_and_addresses_are_personal_in_the_ledger(house: House) -> None:
    ada = await house.person("ada", Role.VIEWER)
    await _set_password(house, await house.signed_in(ada))
    async with house.client() as client:
        await client.post("/sign-in/password", json={"name": "ada", "password": "a guess, no more"})
    (failed,) = [record for record in house.records if record.kind == "access:sign-in:failed"]
    assert failed.body == {"name": Personal("ada"), "address": Personal("192.0.2.7")}
    async with await house.as_a(Role.VIEWER) as viewer:
        seen = (await viewer.get(f"/ledger/records/{failed.id}")).json()
    async with await house.as_a(Role.AUDITOR) as auditor:
        read = (await auditor.get(f"/ledger/records/{failed.id}")).json()
    assert seen["body"] == {"name": "(a fact about a person)", "address": "(a fact about a person)"}
    assert read["body"] == {"name": "ada", "address": "192.0.2.7"}


async def test_challenges_are_bounded_for_each_address(house: House) -> None:
    async with house.client() as client:
        answers = [await client.post("/sign-in/passkey/challenge") for _ in range(42)]
    assert [answer.status_code for answer in answers[:40]] == [201] * 40
    assert answers[-1].status_code == 429


async def test_the_first_run_makes_one_operator_and_one_link(house: House) -> None:
    started = await first_run(house.door)
    assert started is not None
    assert await first_run(house.door) is None
    async with house.client() as client:
        answer = await client.post("/sign-in/link", json={"link": started.link})
        assert answer.json()["name"] == "operator"
        assert (await client.get("/me")).json()["role"] == "admin"


async def test_until_somebody_can_sign_in_each_start_makes_a_new_link(house: House) -> None:
    first, second = await way_in(house.door), await way_in(house.door)
    assert first is not None
    assert second not in (None, first)
    client = house.client()
    answer = await client.post("/sign-in/link", json={"link": second})
    client.headers[CSRF_HEADER] = answer.json()["csrf"]
    await _set_password(house, client)
    assert await way_in(house.door) is None
    await client.aclose()


async def test_the_token_of_this_machine_is_kept_while_it_is_good(house: House) -> None:
    await first_run(house.door)
    token = await local_token(house.door, "")
    assert await local_token(house.door, f"{token}\n") == token
    async with house.client(token) as client:
        assert (await client.get("/me")).json()["role"] == "admin"
    house.clock.advance(timedelta(days=336))
    renewed = await local_token(house.door, token)
    assert renewed != token
    assert await local_token(house.door, "rubbish") != renewed


async def test_answers_carry_the_headers_that_browsers_heed(house: House) -> None:
    async with await house.as_a(Role.VIEWER) as client:
        for path in ("/me", "/nothing-here", "/openapi.json"):
            headers = (await client.get(path)).headers
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert "unsafe" not in headers["Content-Security-Policy"]
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Cache-Control"] == "no-store"
            assert "Access-Control-Allow-Origin" not in headers


async def test_no_other_origin_may_read_answers(house: House) -> None:
    async with house.client() as client:
        preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        answer = await client.options("/sign-in/link", headers=preflight)
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


async def test_a_body_that_is_too_large_is_not_read(house: House) -> None:
    async with house.client() as client:
        answer = await client.post("/sign-in/link", json={"link": "x" * 300_000})
    assert answer.status_code == 413
    assert answer.json()["code"] == "api:request:large"


async def test_an_error_inside_leaks_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("the password of the database is hunter2")

    monkeypatch.setattr(type(house.deps.governing.stores.devices), "list", broken)
    async with await house.as_a(Role.VIEWER) as client:
        answer = await client.get("/devices")
    assert answer.status_code == 500
    assert answer.json()["code"] == "api:internal"
    assert "hunter2" not in answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_health_says_no_more_than_that_it_serves(house: House) -> None:
    async with house.client() as client:
        answer = await client.get(httpx.URL(ORIGIN).copy_with(path="/healthz"))
    assert answer.json() == {"status": "ok"}
