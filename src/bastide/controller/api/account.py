"""Signing in and out over the API, and one's own account: password, passkeys, sessions, tokens."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Path, Query, Request, Response
from pydantic import Field

from bastide.controller.api import access
from bastide.controller.api.access import Asking, Using
from bastide.controller.api.models import Answer, Asked, Label, Limit, Name, Page, page
from bastide.controller.api.routes import PUBLIC, SIGNED_IN, Routes, documented
from bastide.core.ids import DeviceClass, SiteName
from bastide.flows import manage_people, sign_in
from bastide.flows.sign_in import SignedIn
from bastide.governance.access import session as sessions
from bastide.governance.access.passkey import Passkey
from bastide.governance.access.principal import Means
from bastide.governance.access.roles import Permission, Role
from bastide.governance.access.scope import Scope
from bastide.governance.access.session import Session, SessionId
from bastide.governance.access.token import LONGEST_LIFE, Token, TokenId

routes = Routes("", "account")

_THROTTLED = {429: documented(429, "Too many failures; `Retry-After` says how long to wait.")}


class ScopeModel(Asked):
    """Sites and classes; an empty list means all of them."""

    sites: Annotated[list[Name], Field(max_length=100)] = Field(default_factory=list)
    classes: Annotated[list[Name], Field(max_length=100)] = Field(default_factory=list)

    def scope(self) -> Scope:
        return Scope(
            sites=tuple(SiteName(one) for one in self.sites), classes=tuple(DeviceClass(one) for one in self.classes)
        )


class ScopeOut(Answer):
    sites: list[str]
    classes: list[str]


class MeOut(Answer):
    """Who asks, and what they may."""

    person: str
    name: str
    role: Role
    scope: ScopeOut
    means: Means
    permissions: list[Permission]


class SessionOut(Answer):
    id: str
    person: str
    means: Means
    address: str
    agent: str
    created_at: datetime
    last_used: datetime
    ends_at: datetime


class OpenedOut(Answer):
    """The session's cookie is set with this answer; ``csrf`` goes into the header ``X-CSRF-Token`` of every change."""

    person: str
    name: str
    csrf: str
    session: SessionOut


class TokenOut(Answer):
    id: str
    owner: str
    label: str
    role: Role
    scope: ScopeOut
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used: datetime | None


class NewTokenOut(Answer):
    """``secret`` is shown this once and kept nowhere."""

    token: TokenOut
    secret: str


class PasskeyOut(Answer):
    id: str
    label: str
    created_at: datetime
    last_used: datetime | None


class ChallengeOut(Answer):
    """``challenge`` goes back with the answer; ``options`` is what the browser's WebAuthn call takes."""

    challenge: str
    options: dict[str, Any]


class LinkIn(Asked):
    link: Annotated[str, Field(max_length=128)]


class PasswordSignInIn(Asked):
    name: Annotated[str, Field(max_length=63)]
    password: Annotated[str, Field(max_length=1024)]


class PasskeyAnswerIn(Asked):
    challenge: Annotated[str, Field(max_length=128)]
    answer: dict[str, Any] = Field(description="What the browser's WebAuthn call gave, as JSON.")


class NewPasskeyIn(PasskeyAnswerIn):
    label: Label


class PasswordIn(Asked):
    current: Annotated[str, Field(max_length=1024)] = ""
    new: Annotated[str, Field(max_length=1024)]


class TokenIn(Asked):
    label: Label
    role: Role = Role.VIEWER
    scope: ScopeModel = ScopeModel()
    life_s: Annotated[int, Field(ge=60, le=int(LONGEST_LIFE.total_seconds()), strict=True)] = 90 * 86400


@routes.post("/sign-in/link", needs=PUBLIC, responses=_THROTTLED)
async def sign_in_by_link(asked: LinkIn, request: Request, response: Response, deps: Using) -> OpenedOut:
    """Opens a session with a one-time link."""
    return _opened(response, await sign_in.by_link(deps.door, asked.link, access.visitor(request)))


@routes.post("/sign-in/password", needs=PUBLIC, responses=_THROTTLED)
async def sign_in_by_password(asked: PasswordSignInIn, request: Request, response: Response, deps: Using) -> OpenedOut:
    """Opens a session with name and password."""
    return _opened(response, await sign_in.by_password(deps.door, asked.name, asked.password, access.visitor(request)))


@routes.post("/sign-in/passkey/challenge", needs=PUBLIC, status_code=201, responses=_THROTTLED)
async def begin_passkey_sign_in(request: Request, deps: Using) -> ChallengeOut:
    """A challenge for signing in with a passkey."""
    challenge, options = await sign_in.passkey_sign_in_options(deps.door, access.visitor(request))
    return ChallengeOut(challenge=challenge, options=options)


@routes.post("/sign-in/passkey", needs=PUBLIC, responses=_THROTTLED)
async def sign_in_by_passkey(asked: PasskeyAnswerIn, request: Request, response: Response, deps: Using) -> OpenedOut:
    """Opens a session with a passkey's answer."""
    visitor = access.visitor(request)
    return _opened(response, await sign_in.by_passkey(deps.door, asked.challenge, asked.answer, visitor))


@routes.post("/sign-out", needs=SIGNED_IN, status_code=204)
async def sign_out(response: Response, asking: Asking, deps: Using) -> None:
    """Ends the session that asks. Nothing happens where a token asks."""
    if asking.session:
        await sign_in.sign_out(deps.door, asking)
    access.drop(response)


@routes.get("/me", needs=SIGNED_IN)
async def show_me(asking: Asking) -> MeOut:
    """Who asks, and what they may."""
    return MeOut(
        person=asking.person,
        name=asking.name,
        role=asking.role,
        scope=ScopeOut.model_validate(asking.scope, from_attributes=True),
        means=asking.means,
        permissions=sorted(asking.permissions),
    )


@routes.put("/me/password", needs=Permission.ACCOUNT_OWN, status_code=204)
async def set_password(asked: PasswordIn, asking: Asking, deps: Using) -> None:
    """Sets one's own password and ends one's other sessions."""
    await manage_people.set_password(deps.door, asking, asked.current, asked.new)


@routes.get("/me/sessions", needs=Permission.ACCOUNT_OWN)
async def list_my_sessions(asking: Asking, deps: Using) -> Page[SessionOut]:
    """One's own open sessions."""
    now = deps.clock.now()
    found = await deps.door.reads.sessions(asking.person)
    return Page(items=[session_out(one) for one in found if one.live_at(now)])


@routes.delete("/sessions/{session}", needs=Permission.ACCOUNT_OWN)
async def end_session(
    session: Annotated[str, Path(pattern=r"^s-[a-z2-7]{20}$")], asking: Asking, deps: Using
) -> SessionOut:
    """Ends a session: one's own, or anybody's for an admin."""
    return session_out(await manage_people.end_session(deps.door, asking, SessionId(session)))


@routes.get("/me/passkeys", needs=Permission.ACCOUNT_OWN)
async def list_my_passkeys(asking: Asking, deps: Using) -> Page[PasskeyOut]:
    """One's own passkeys."""
    return Page(items=[_passkey(one) for one in await deps.door.reads.passkeys(asking.person)])


@routes.post("/me/passkeys/challenge", needs=Permission.ACCOUNT_OWN, status_code=201)
async def begin_passkey_registration(asking: Asking, deps: Using) -> ChallengeOut:
    """A challenge for registering a passkey."""
    challenge, options = await sign_in.passkey_registration_options(deps.door, asking)
    return ChallengeOut(challenge=challenge, options=options)


@routes.post("/me/passkeys", needs=Permission.ACCOUNT_OWN, status_code=201)
async def register_passkey(asked: NewPasskeyIn, asking: Asking, deps: Using) -> PasskeyOut:
    """Keeps the passkey that the browser made."""
    return _passkey(await sign_in.register_passkey(deps.door, asking, asked.challenge, asked.answer, asked.label))


@routes.delete("/me/passkeys/{passkey}", needs=Permission.ACCOUNT_OWN)
async def remove_passkey(
    passkey: Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,1400}$")], asking: Asking, deps: Using
) -> PasskeyOut:
    """Removes one of one's own passkeys."""
    return _passkey(await manage_people.remove_passkey(deps.door, asking, passkey))


@routes.get("/tokens", needs=Permission.TOKEN_OWN)
async def list_tokens(
    asking: Asking,
    deps: Using,
    everybody: Annotated[bool, Query(description="Those of all people; needs `people:read`.")] = False,
    after: Annotated[str, Query(max_length=32)] = "",
    limit: Limit = 100,
) -> Page[TokenOut]:
    """API tokens: one's own, or all. What was revoked or has expired is shown too."""
    if everybody:
        asking.demand(Permission.PEOPLE_READ)
    found = await deps.door.reads.tokens(None if everybody else asking.person, limit, after)
    return page([_token(one) for one in found], limit, found[-1].id if found else "")


@routes.post("/tokens", needs=Permission.TOKEN_OWN, status_code=201)
async def create_token(asked: TokenIn, asking: Asking, deps: Using) -> NewTokenOut:
    """A new API token of whoever asks; it never may more than they."""
    life = timedelta(seconds=asked.life_s)
    secret, made = await manage_people.create_token(
        deps.door, asking, asked.label, asked.role, asked.scope.scope(), life
    )
    return NewTokenOut(token=_token(made), secret=secret)


@routes.delete("/tokens/{token}", needs=Permission.TOKEN_OWN)
async def revoke_token(
    token: Annotated[str, Path(pattern=r"^t-[a-z2-7]{20}$")], asking: Asking, deps: Using
) -> TokenOut:
    """Ends a token: one's own, or anybody's for an admin."""
    return _token(await manage_people.revoke_token(deps.door, asking, TokenId(token)))


def _opened(response: Response, opened: SignedIn) -> OpenedOut:
    access.keep(response, opened)
    return OpenedOut(
        person=opened.person.id,
        name=opened.person.name,
        csrf=sessions.csrf_token(opened.text),
        session=session_out(opened.session),
    )


def session_out(session: Session) -> SessionOut:
    return SessionOut(
        id=session.id,
        person=session.person,
        means=session.means,
        address=session.address,
        agent=session.agent,
        created_at=session.created_at,
        last_used=session.last_used,
        ends_at=session.ended_at or session.ends_at(),
    )


def _token(token: Token) -> TokenOut:
    return TokenOut.model_validate(token, from_attributes=True)


def _passkey(passkey: Passkey) -> PasskeyOut:
    return PasskeyOut.model_validate(passkey, from_attributes=True)
