"""Claims over the API: made and shown once, listed without their secret, ended, and never beyond the scope of whoever asks."""

from datetime import timedelta

import pytest

from bastide.core.ids import ClaimId
from bastide.device.credential.claim import check_secret
from bastide.governance.access.roles import Role
from tests.controller.house import LYON, House


async def test_a_claim_is_given_once_and_only_its_digest_is_kept(house: House) -> None:
    async with await house.as_a(Role.OPERATOR) as client:
        made = await client.post("/claims", json={"device_class": "lamp", "owner": "facilities", "ttl_s": 3600})
        assert made.status_code == 201, made.text
        claim = made.json()
        listed = (await client.get("/claims")).json()
    assert claim["est_url"].endswith("/.well-known/est")
    assert (claim["state"], claim["site"], claim["new_class"], claim["profile"]) == ("open", "main", False, "generic")
    assert [one["username"] for one in listed["items"]] == [claim["username"]]
    assert claim["password"] not in str(listed)
    assert claim["password"] not in str(house.records)
    stored = await house.deps.governing.stores.credentials.claim(ClaimId(claim["username"]))  # type: ignore[attr-defined]
    assert check_secret(stored, claim["password"]) == stored
    (record,) = [one for one in house.records if one.kind == "enrolment:claim:created"]
    assert record.body["owner"] == "facilities"


async def test_an_unknown_class_is_registered_with_the_generic_profile_and_said_so(house: House) -> None:
    async with await house.as_a(Role.OPERATOR) as client:
        first = (await client.post("/claims", json={"device_class": "kettle"})).json()
        second = (await client.post("/claims", json={"device_class": "kettle"})).json()
    assert (first["new_class"], first["profile"]) == (True, "generic")
    assert second["new_class"] is False
    assert house.kinds().count("class:registered") == 2  # the house's own lamp, and the kettle


async def test_a_claim_ends_when_it_is_revoked_and_only_once(house: House) -> None:
    async with await house.as_a(Role.OPERATOR) as client:
        name = (await client.post("/claims", json={"device_class": "lamp"})).json()["username"]
        ended = await client.post(f"/claims/{name}/revocation")
        assert (ended.status_code, ended.json()["state"]) == (200, "revoked")
        assert (await client.post(f"/claims/{name}/revocation")).status_code == 409
        assert (await client.post(f"/claims/c-{'a' * 20}/revocation")).status_code == 404
        expiring = (await client.post("/claims", json={"device_class": "lamp", "ttl_s": 60})).json()["username"]
        house.clock.advance(timedelta(minutes=2))
        states = {one["username"]: one["state"] for one in (await client.get("/claims")).json()["items"]}
    assert states == {name: "revoked", expiring: "expired"}


async def test_claims_are_paged_newest_first(house: House) -> None:
    async with await house.as_a(Role.OPERATOR) as client:
        made = []
        for _ in range(3):
            made.append((await client.post("/claims", json={"device_class": "lamp"})).json()["username"])
            house.clock.advance(1)
        first = (await client.get("/claims", params={"limit": 2})).json()
        rest = (await client.get("/claims", params={"limit": 2, "after": first["next"]})).json()
    assert [one["username"] for one in first["items"] + rest["items"]] == made[::-1]
    assert rest["next"] is None


async def test_a_limited_account_makes_and_sees_claims_of_its_own_sites_only(house: House) -> None:
    async with await house.as_a(Role.OPERATOR) as boundless, await house.as_a(Role.OPERATOR, LYON) as limited:
        elsewhere = (await boundless.post("/claims", json={"device_class": "lamp", "site": "metz"})).json()["username"]
        made = await limited.post("/claims", json={"device_class": "lamp", "site": "lyon"})
        assert made.status_code == 201, made.text
        assert (await limited.post("/claims", json={"device_class": "lamp", "site": "metz"})).status_code == 403
        assert (await limited.post("/claims", json={"device_class": "lamp"})).status_code == 403
        assert (await limited.post("/claims", json={"device_class": "new-kind", "site": "lyon"})).status_code == 404
        assert [one["username"] for one in (await limited.get("/claims")).json()["items"]] == [made.json()["username"]]
        assert (await limited.post(f"/claims/{elsewhere}/revocation")).status_code == 404


@pytest.mark.parametrize("asked", [
    {},
    {"device_class": "Lamp"},
    {"device_class": "lamp", "ttl_s": 59},
    {"device_class": "lamp", "ttl_s": 90 * 86_400 + 1},
    {"device_class": "lamp", "owner": "no spaces"},
    {"device_class": "lamp", "name": "x" * 81},
    {"device_class": "lamp", "name": "a\x00b"},
    {"device_class": "lamp", "password": "mine"},
])  # fmt: skip
async def test_what_is_not_as_documented_is_refused(house: House, asked: dict[str, object]) -> None:
    async with await house.as_a(Role.OPERATOR) as client:
        assert (await client.post("/claims", json=asked)).status_code == 422


async def test_viewers_make_no_claims(house: House) -> None:
    async with await house.as_a(Role.VIEWER) as client:
        assert (await client.post("/claims", json={"device_class": "lamp"})).status_code == 403
        assert (await client.get("/claims")).status_code == 403
