"""Every route of the app says who may, and does what it says, for every role.

``tests/golden/role_matrix.txt`` is the table as it was reviewed. A change of it is a change of who may do what: look at it
as such, then write it anew with ``python -m tests.controller.test_role_matrix``.
"""

import asyncio
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from bastide.controller.api.routes import PUBLIC, SIGNED_IN, GuardedRoute, Needs
from bastide.governance.access.roles import MATRIX, Permission, Role
from tests.controller.house import LAMP, House, migrated_database, open_house

GOLDEN = Path(__file__).parents[1] / "golden" / "role_matrix.txt"
NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Asked:
    """One method at one address, as the app routes it. ``route`` is what answers."""

    method: str
    path: str
    route: BaseRoute

    @property
    def needs(self) -> Needs:
        assert isinstance(self.route, GuardedRoute)
        return self.route.needs

    @property
    def page(self) -> bool:
        return not getattr(self.route, "include_in_schema", True)


def every_route(app: FastAPI) -> list[Asked]:
    assert not app.router._low_priority_routes
    return sorted(
        (
            Asked(method, context.path or "", context.original_route)
            for context in iter_route_contexts(app.routes)
            for method in getattr(context.original_route, "methods", None) or ("ANY",)
        ),
        key=lambda asked: (asked.path, asked.method),
    )


def who_may(needs: Needs) -> list[str]:
    if needs is PUBLIC:
        return [NOBODY, *Role]
    if needs is SIGNED_IN:
        return list(Role)
    return [role for role in Role if needs in MATRIX[role]]


def table(app: FastAPI) -> str:
    """The matrix as it is reviewed: one line for each route."""
    lines = [f"{'method':<7}{'address':<52}{'needs':<20}who may"]
    for asked in every_route(app):
        lines.append(f"{asked.method:<7}{asked.path:<52}{asked.needs.value:<20}{' '.join(who_may(asked.needs))}")
    return "\n".join(lines) + "\n"


async def test_no_route_is_without_a_rule(house: House) -> None:
    asked = every_route(house.app)
    assert [one.path for one in asked if not isinstance(one.route, GuardedRoute)] == []
    assert len(asked) > 40


def test_a_route_cannot_be_written_without_a_rule() -> None:
    from bastide.controller.api.routes import Routes

    with pytest.raises(TypeError, match="needs"):
        Routes().get("/anything")  # type: ignore[call-arg]


async def test_the_matrix_is_the_reviewed_one(house: House) -> None:
    assert table(house.app) == GOLDEN.read_text(), "who may do what has changed: review it, then write the table anew"


async def test_every_permission_is_asked_for_by_a_route(house: House) -> None:
    assert set(Permission) <= {asked.needs for asked in every_route(house.app)}


@pytest.mark.parametrize("role", [NOBODY, *Role])
async def test_every_route_does_what_the_matrix_says(house: House, role: str) -> None:
    client = house.client() if role == NOBODY else await house.as_a(Role(role))
    house.live.close()  # so that the live streams end at once
    wrong = []
    async with client:
        await house.deps.ledger.integrated(house.records[-1].id)
        for asked in every_route(house.app):
            answer = await _ask(client, asked)
            allowed = role in who_may(asked.needs)
            refused = answer.status_code in (401, 403) or answer.headers.get("Location", "").startswith("/sign-in?")
            if allowed == refused:
                wrong.append((asked.method, asked.path, answer.status_code))
            assert answer.status_code < 500, (asked.method, asked.path, answer.text)
            if role == NOBODY and not allowed and not asked.page:
                assert answer.status_code == 401
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert wrong == []


async def test_whoever_may_not_learns_nothing_from_how_a_body_is_refused(house: House) -> None:
    async with await house.as_a(Role.VIEWER) as client:
        answer = await client.put("/policy", content=b"{not json")
    assert answer.status_code == 403


async def _ask(client: httpx.AsyncClient, asked: Asked) -> httpx.Response:
    """A request that the rule is asked for, and that then ends in nothing: ids that do not exist, an empty body."""
    path = asked.path.replace("{device}", LAMP if asked.method == "GET" else "d-" + "z" * 20)
    path = re.sub(r"\{(\w+)(:path)?\}", lambda named: f"{named[1][0]}-{'z' * 20}", path)
    return await client.request(asked.method, client.base_url.copy_with(path=path))


async def _write() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with open_house(migrated_database(Path(folder) / "migrated.db"), Path(folder)) as house:
            GOLDEN.parent.mkdir(exist_ok=True)
            GOLDEN.write_text(table(house.app))


if __name__ == "__main__":
    asyncio.run(_write())
    sys.stdout.write(GOLDEN.read_text())
