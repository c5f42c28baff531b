"""schemathesis over the OpenAPI document, once for each role: no 5xx, no undocumented answer, no wrong content type, no
answer that is not of its schema, and nothing accepted that the document forbids.

The app is served by uvicorn over TCP as in production, in a thread with a loop of its own.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bastide.governance.access.roles import Role
from tests.controller.served import NOBODY, Served

# Whoever is refused before anything is read needs few; an admin meets every answer.
EXAMPLES = {NOBODY: 2, Role.VIEWER: 3, Role.OPERATOR: 4, Role.AUDITOR: 3, Role.ADMIN: 10}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    allow_header_conformance,
]

# A schema cannot say what these take: a secret that was handed out, a policy's rules, a key's answer. The tests beside this
# one ask them well.
NEEDS_MORE_THAN_A_SCHEMA = {
    "POST /api/v1/authorities",
    "DELETE /api/v1/enrolment/vendors/{vendor}",
    "POST /api/v1/claims",
    "DELETE /api/v1/enrolment/vendors/{vendor}/expected/{serial}",
    "DELETE /api/v1/enrolment/windows/{window}",
    "POST /api/v1/enrolment/requests/{request}/approval",
    "POST /api/v1/enrolment/requests/{request}/refusal",
    "POST /api/v1/enrolment/vendors/{vendor}/expected",
    "PUT /api/v1/enrolment/vendors/{vendor}",
    "POST /api/v1/rollouts",
    "POST /api/v1/rollouts/preflight",
    "POST /api/v1/rollouts/{rollout}/approval",
    "POST /api/v1/rollouts/{rollout}/pause",
    "POST /api/v1/rollouts/{rollout}/resumption",
    "POST /api/v1/sign-in/link",
    "POST /api/v1/sign-in/password",
    "POST /api/v1/sign-in/passkey",
    "POST /api/v1/me/passkeys",
    "DELETE /api/v1/me/passkeys/{passkey}",
    "PUT /api/v1/me/password",
    "POST /api/v1/policy/simulation",
    "PUT /api/v1/policy",
    "POST /api/v1/profiles",
    "POST /api/v1/waivers",
    "POST /api/v1/waivers/{waiver}/end",
    "POST /api/v1/claims/{claim}/revocation",
    "POST /api/v1/inventory/import",
    "POST /api/v1/inventory/{device}/merge",
    "POST /api/v1/inventory/{device}/split",
    "PUT /api/v1/sites/{site}",
    "GET /api/v1/profiles/{profile}/reach",
    "PUT /api/v1/profiles/{profile}/reach",
    "POST /api/v1/profiles/{profile}/proposals",
    "POST /api/v1/profiles/{profile}/lessons",
    "POST /api/v1/profiles/{profile}/fetch",
    "GET /api/v1/proposals/{proposal}",
    "POST /api/v1/proposals/{proposal}/end",
    "POST /api/v1/proposals/{proposal}/approval",
    "POST /api/v1/proposals/{proposal}/refusal",
    "GET /api/v1/reach",
    "PUT /api/v1/devices/{device}/mode",
    "PUT /api/v1/profiles/{profile}/mode",
    "PUT /api/v1/zones/{zone}/mode",
    "DELETE /api/v1/devices/{device}/mode",
    "DELETE /api/v1/profiles/{profile}/mode",
    "DELETE /api/v1/zones/{zone}/mode",
    "POST /api/v1/profiles/{profile}/simulation",
    "POST /api/v1/devices/{device}/reach",
    "POST /api/v1/devices/{device}/rulings",
    "DELETE /api/v1/devices/{device}/rulings/{ruling}",
}


@pytest.fixture(scope="module")
def served(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    house = Served(migrated, tmp_path_factory.mktemp("served"))
    house.start()
    yield house
    house.stop()


VALID, INVALID = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
# What cannot be read is judged before or after who asks, never by which of the roles: three of them are enough for it.
ASKED = [*((role, VALID) for role in (NOBODY, *Role)), *((role, INVALID) for role in (NOBODY, Role.VIEWER, Role.ADMIN))]


@pytest.mark.parametrize(("role", "mode"), ASKED, ids=[f"{role}-{mode.name.lower()}" for role, mode in ASKED])
def test_every_operation_answers_as_documented(served: Served, role: str, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_dict(served.document)
    headers = {"Authorization": f"Bearer {served.tokens[role]}"} if role != NOBODY else {}
    asked: dict[str, list[int]] = {}
    wrong: list[Exception] = []
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        if mode is GenerationMode.NEGATIVE and not _has_input(operation):
            continue
        try:
            asked[operation.label] = _ask(
                served,
                operation,
                mode,
                headers,
                EXAMPLES[role] if mode is GenerationMode.POSITIVE else min(4, EXAMPLES[role]),
            )
        except Exception as error:
            error.add_note(operation.label)
            wrong.append(error)
    if wrong:
        raise ExceptionGroup(f"{len(wrong)} operations of {len(wrong) + len(asked)} do not answer as documented", wrong)
    assert len(asked) > 30
    if mode is GenerationMode.POSITIVE and role == Role.ADMIN:
        never = {label for label, statuses in asked.items() if not any(status < 300 for status in statuses)}
        assert never <= NEEDS_MORE_THAN_A_SCHEMA


def _ask(served: Served, operation: Any, mode: GenerationMode, headers: dict[str, str], examples: int) -> list[int]:
    """Asks one operation some times, and gives the statuses that were answered."""
    statuses: list[int] = []

    def answers(case: Case[Any]) -> None:
        # Every other valid request is about a thing that is there: most answers are documented for those.
        if mode is GenerationMode.POSITIVE and len(statuses) % 2:
            for name in set(case.path_parameters or {}) & set(served.there):
                case.path_parameters[name] = served.there[name]
        response = case.call(base_url=served.url, headers=headers)
        statuses.append(response.status_code)
        # What is too large is not looked at, so it is not told from what is wrong; schemathesis knows no 413 for that.
        checks = [check for check in CHECKS if response.status_code != 413 or check is not negative_data_rejection]
        case.validate_response(response, checks=checks, headers=headers)

    bounded = settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    seed(1)(bounded(given(case=operation.as_strategy(generation_mode=mode))(answers)))()
    return statuses


def _has_input(operation: Any) -> bool:
    """True where a request could be invalid at all."""
    return bool(operation.body) or any(
        len(list(parameters)) for parameters in (operation.path_parameters, operation.query, operation.headers)
    )
