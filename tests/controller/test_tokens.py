"""API tokens over the API: made, bounded, revoked; and hostile secrets."""

from datetime import timedelta

import pytest

from bastide.flows.manage_people import new_token
from bastide.governance.access.roles import Role
from bastide.governance.access.scope import EVERYTHING
from tests.controller.house import LAMP, LYON, PUMP, House


async def test_a_token_is_shown_once_and_kept_as_a_digest(house: House) -> None:
    async with await house.as_a(Role.OPERATOR) as client:
        made = (await client.post("/tokens", json={"label": "ci", "role": "viewer"})).json()
        listed = (await client.get("/tokens")).text
    secret = made["secret"]
    assert secret.startswith("bastide_t-")
    assert secret not in listed
    kept = await house.database.read(
        lambda connection: connection.exec_driver_sql("SELECT * FROM tokens WHERE id = ?", (made["token"]["id"],)).one()
    )
    assert secret.partition(".")[2] not in str(tuple(kept))
    async with house.client(secret) as program:
        assert (await program.get("/me")).json()["role"] == "viewer"


async def test_a_token_has_the_scope_that_was_asked_for(house: House) -> None:
    async with await house.as_a(Role.OPERATOR) as client:
        scope = {"sites": ["lyon"], "classes": []}
        made = (await client.post("/tokens", json={"label": "ci", "role": "operator", "scope": scope})).json()
    async with house.client(made["secret"]) as program:
        assert [one["id"] for one in (await program.get("/devices")).json()["items"]] == [LAMP]
        assert (await program.get(f"/devices/{PUMP}")).status_code == 404
        wider = await program.post("/tokens", json={"label": "wider", "role": "viewer"})
        assert wider.json()["code"] == "access:token:scope"


async def test_nobody_makes_a_token_that_may_more_than_they(house: House) -> None:
    async with await house.as_a(Role.OPERATOR, LYON) as client:
        for body in ({"role": "admin"}, {"role": "auditor"}, {"role": "viewer", "scope": {"sites": ["metz"]}}):
            answer = await client.post("/tokens", json={"label": "more"} | body)
            assert answer.status_code == 422, body


async def test_what_a_token_makes_does_not_outlive_it(house: House) -> None:
    person = await house.person("ada", Role.OPERATOR)
    async with house.client(await house.token(person)) as program:  # lives a day
        made = (await program.post("/tokens", json={"label": "child", "life_s": 86400 * 90})).json()["token"]
    assert made["expires_at"] <= (house.clock.now() + timedelta(days=1)).isoformat().replace("+00:00", "Z")


async def test_a_revoked_and_an_expired_token_are_refused(house: House) -> None:
    person = await house.person("ada", Role.OPERATOR)
    token = await house.token(person)
    async with house.client(token) as program:
        id = token.removeprefix("bastide_").partition(".")[0]
        assert (await program.delete(f"/tokens/{id}")).json()["revoked_at"] is not None
        assert (await program.get("/me")).status_code == 401
    async with house.client(await house.token(person)) as program:
        house.clock.advance(timedelta(days=1))
        assert (await program.get("/me")).status_code == 401


async def test_anothers_token_is_not_there_except_for_an_admin(house: House) -> None:
    ada = await house.person("ada", Role.VIEWER)
    _, made = await new_token(
        house.door, "system:test", ada, label="hers", role=Role.VIEWER, scope=EVERYTHING, life=timedelta(days=1)
    )
    async with await house.as_a(Role.OPERATOR) as other:
        assert (await other.delete(f"/tokens/{made.id}")).status_code == 404
        assert (await other.get("/tokens", params={"everybody": "true"})).status_code == 403
    async with await house.as_a(Role.ADMIN) as admin:
        everybodys = (await admin.get("/tokens", params={"everybody": "true"})).json()["items"]
        assert made.id in [one["id"] for one in everybodys]
        assert (await admin.delete(f"/tokens/{made.id}")).status_code == 200


async def test_tokens_have_a_bound(house: House) -> None:
    async with await house.as_a(Role.VIEWER) as client:
        answers = [await client.post("/tokens", json={"label": f"number {count}"}) for count in range(50)]
    assert [answer.status_code for answer in answers].count(409) == 1  # the one that asks is the fiftieth


@pytest.mark.parametrize(
    "shown",
    [
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        "Bearer bastide_t-" + "a" * 20,
        "Bearer bastide_t-" + "a" * 20 + "." + "a" * 43,
        "Bearer t-" + "a" * 20 + "." + "a" * 43,
        "Bearer " + "x" * 5000,
        "Bearer bastide_' OR 1=1 --",
        "Bearer \N{LATIN SMALL LETTER E WITH ACUTE}",
    ],
)
async def test_what_is_no_token_is_refused_in_one_way(house: House, shown: str) -> None:
    async with house.client() as client:
        answer = await client.get("/me", headers=[(b"Authorization", shown.encode("latin-1"))])
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_token_whose_secret_is_off_by_one_character_is_refused(house: House) -> None:
    token = await house.token(await house.person("ada", Role.VIEWER))
    wrong = token[:-2] + ("A" if token[-2] != "A" else "B") + token[-1]
    async with house.client(wrong) as client:
        assert (await client.get("/me")).status_code == 401


@pytest.mark.parametrize("cookie", ["x", "s-" + "a" * 20 + "." + "a" * 43, "a" * 4000, "s-'; DROP TABLE sessions; --"])
async def test_what_is_no_session_is_refused(house: House, cookie: str) -> None:
    async with house.client(Cookie=f"__Host-bastide={cookie}") as client:
        assert (await client.get("/me")).status_code == 401
