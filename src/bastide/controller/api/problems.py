"""Errors as problem documents (RFC 9457): ``application/problem+json`` with our stable ``code`` and one sentence.

What is told is what the error's author wrote for people. Anything else is a 500 that says nothing but where to look.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from bastide.core.error import BastideError, Conflict, NotFound, Refused, Unavailable
from bastide.governance.access.error import NotPermitted, NotSignedIn, TryLater

MEDIA_TYPE = "application/problem+json"

log = logging.getLogger(__name__)


class WrongField(BaseModel):
    """One part of a request that is not as it should be."""

    model_config = ConfigDict(extra="forbid")

    where: str = Field(description="Where it is, such as `body.reason` or `query.limit`.")
    what: str = Field(description="What is wrong with it.")


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(default="about:blank")
    status: int
    title: str
    code: str = Field(description="Stable, for programs: `area:thing:what`.")
    detail: str = Field(description="One sentence for people, with what to do next.")
    fields: list[WrongField] = Field(default_factory=list, description="Which parts of the request are meant.")


_STATUS: tuple[tuple[type[BastideError], int], ...] = (
    (NotSignedIn, 401),
    (NotPermitted, 403),
    (TryLater, 429),
    (NotFound, 404),
    (Refused, 422),
    (Conflict, 409),
    (Unavailable, 503),
)


def status_of(error: BastideError) -> int:
    """The HTTP status of one of our errors: the peer's fault is 4xx, ours 5xx."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    fields: list[WrongField] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem as an answer."""
    title = HTTPStatus(status).phrase
    body = Problem(status=status, title=title, code=code, detail=detail, fields=fields or [])
    return JSONResponse(body.model_dump(), status, dict(headers or {}), MEDIA_TYPE)


def of(error: BastideError) -> JSONResponse:
    """One of our errors as an answer."""
    status = status_of(error)
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="bastide"'
    if isinstance(error, TryLater):
        headers["Retry-After"] = str(error.after_seconds)
    if status == 503:
        headers["Retry-After"] = "2"
    if status == 500:
        log.error("%s: %s", error.reason, error.sentence)
    return problem(status, error.reason, error.sentence, headers=headers)


def of_anything(error: Exception) -> JSONResponse:
    """Whatever was raised, as an answer that leaks nothing."""
    if isinstance(error, BastideError):
        return of(error)
    if isinstance(error, RequestValidationError):
        fields = [
            WrongField(where=".".join(str(part) for part in wrong["loc"])[:200], what=str(wrong["msg"])[:300])
            for wrong in error.errors()[:20]
        ]
        first = f" {fields[0].where}: {fields[0].what}." if fields else ""
        return problem(422, "api:request:invalid", f"The request is not as documented.{first}", fields=fields)
    if isinstance(error, HTTPException):
        sentence, code = _HTTP.get(error.status_code, ("The request cannot be answered.", "api:request:refused"))
        return problem(error.status_code, code, sentence, headers=error.headers)
    log.error("unexpected error", exc_info=error)
    return problem(500, "api:internal", "Something failed inside Bastide; the controller's log says what.")


_HTTP = {
    400: ("The request cannot be read; see /api/v1/openapi.json for its form.", "api:request:unreadable"),
    404: ("There is nothing at this address.", "api:address:unknown"),
    405: ("This address does not answer that method.", "api:method:unknown"),
    413: ("The request is larger than this address accepts.", "api:request:large"),
    415: ("This address does not accept that content type.", "api:request:type"),
}


def install(app: FastAPI) -> None:
    """Makes every error of the app a problem document."""

    async def answer(request: Request, error: Exception) -> Response:
        return of_anything(error)

    for kind in (BastideError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, answer)
