"""``/settings``: one's own account and tokens, people and roles, classes and profiles, policy, waivers.

Acts that the API has too go through the same flows; what is shown once (a token's secret, a sign-in link) is in the answer to
the act and nowhere else.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Form, Request, Response
from fastapi.responses import RedirectResponse

from bastide.controller.api.access import Asking, Using
from bastide.controller.api.credentials import Certificates
from bastide.controller.api.deps import Deps
from bastide.controller.api.problems import status_of
from bastide.controller.api.routes import Routes
from bastide.controller.console.page import HEADERS, Pages, reader
from bastide.controller.console.views.keys import kept
from bastide.controller.console.views.waivers import Known, ends, may_end, subject_of, waivers
from bastide.controller.console.views.words import MAY
from bastide.core.error import BastideError, NotFound, Refused
from bastide.core.ids import DeviceClass, OwnerName, RuleId, SiteName
from bastide.flows import change_policy, describe_kinds, manage_people, operator_acts
from bastide.flows.change_policy import Simulation
from bastide.governance.access.error import AccessRefused
from bastide.governance.access.person import PersonId
from bastide.governance.access.principal import Principal
from bastide.governance.access.roles import MATRIX, Permission, Role
from bastide.governance.access.scope import Scope
from bastide.governance.access.session import SessionId
from bastide.governance.access.token import TokenId

Text = Annotated[str, Form(max_length=1024)]
Document = Annotated[str, Form(max_length=128 * 1024)]
PEOPLE = 500


@dataclass(frozen=True, slots=True)
class Section:
    key: str
    name: str


SECTIONS: Sequence[tuple[Permission, Section]] = (
    (Permission.ACCOUNT_OWN, Section("account", "Your account")),
    (Permission.TOKEN_OWN, Section("tokens", "API tokens")),
    (Permission.PEOPLE_READ, Section("people", "People and roles")),
    (Permission.PROFILE_READ, Section("classes", "Classes and profiles")),
    (Permission.POLICY_READ, Section("policy", "Policy")),
    (Permission.WAIVER_READ, Section("waivers", "Waivers")),
    (Permission.LEDGER_READ, Section("keys", "Keys and certificates")),
)


def add(routes: Routes, pages: Pages, certificates: Certificates) -> None:
    async def show(request: Request, asking: Principal, section: str, status: int = 200, **matter: Any) -> Response:
        matter.setdefault("error", "")
        sections = [each for permission, each in SECTIONS if asking.may(permission)]
        return await pages.show(
            request, f"settings_{section}.html", "settings", status=status, sections=sections, section=section, **matter
        )

    def back(section: str) -> Response:
        return RedirectResponse(f"/settings/{section}", 303, {**HEADERS})

    @routes.get("/settings", needs=Permission.ACCOUNT_OWN)
    async def settings(asking: Asking) -> Response:
        return back("people" if asking.may(Permission.PEOPLE_READ) else "account")

    # One's own account ----------------------------------------------------------------------------------------------

    async def account(request: Request, asking: Principal, deps: Deps, error: str = "", status: int = 200) -> Response:
        now = deps.clock.now()
        return await show(
            request,
            asking,
            "account",
            status,
            error=error,
            person=await deps.door.reads.person(asking.person),
            passkeys=await deps.door.reads.passkeys(asking.person),
            sessions=[one for one in await deps.door.reads.sessions(asking.person) if one.live_at(now)],
            current=asking.session,
            party=deps.door.party,
        )

    @routes.get("/settings/account", needs=Permission.ACCOUNT_OWN)
    async def account_page(request: Request, asking: Asking, deps: Using) -> Response:
        return await account(request, asking, deps)

    @routes.post("/settings/account/password", needs=Permission.ACCOUNT_OWN)
    async def set_password(
        request: Request, asking: Asking, deps: Using, current: Text = "", password: Text = "", again: Text = ""
    ) -> Response:
        try:
            if not password or password != again:
                raise AccessRefused("Type the new password twice, the same both times.")
            await manage_people.set_password(deps.door, asking, current, password)
        except AccessRefused as error:
            return await account(request, asking, deps, error.sentence, status_of(error))
        return back("account")

    @routes.post("/settings/account/passkeys/{passkey}/remove", needs=Permission.ACCOUNT_OWN)
    async def remove_a_passkey(asking: Asking, deps: Using, passkey: str) -> Response:
        await manage_people.remove_passkey(deps.door, asking, passkey[:1400])
        return back("account")

    @routes.post("/settings/account/sessions/{session}/end", needs=Permission.ACCOUNT_OWN)
    async def end_a_session(asking: Asking, deps: Using, session: str) -> Response:
        await manage_people.end_session(deps.door, asking, SessionId(session[:64]))
        return back("account")

    # Tokens ---------------------------------------------------------------------------------------------------------

    async def tokens(
        request: Request, asking: Principal, deps: Deps, error: str = "", secret: str = "", status: int = 200
    ) -> Response:
        everybody = asking.may(Permission.PEOPLE_READ)
        people = {one.id: one.display or one.name for one in await deps.door.reads.people(PEOPLE)} if everybody else {}
        return await show(
            request,
            asking,
            "tokens",
            status,
            error=error,
            secret=secret,
            tokens=await deps.door.reads.tokens(None if everybody else asking.person, 500),
            people=people,
            roles=[role for role in Role if MATRIX[role] <= MATRIX[asking.role]],
            me=asking.person,
        )

    @routes.get("/settings/tokens", needs=Permission.TOKEN_OWN)
    async def tokens_page(request: Request, asking: Asking, deps: Using) -> Response:
        return await tokens(request, asking, deps)

    @routes.post("/settings/tokens", needs=Permission.TOKEN_OWN)
    async def make_token(
        request: Request,
        asking: Asking,
        deps: Using,
        label: Text = "",
        role: Annotated[Role, Form()] = Role.VIEWER,
        days: Annotated[int, Form(ge=1, le=366)] = 90,
    ) -> Response:
        try:
            secret, _ = await manage_people.create_token(
                deps.door, asking, label, role, asking.scope, timedelta(days=days)
            )
        except AccessRefused as error:
            return await tokens(request, asking, deps, error.sentence, status=status_of(error))
        return await tokens(request, asking, deps, secret=secret)

    @routes.post("/settings/tokens/{token}/revoke", needs=Permission.TOKEN_OWN)
    async def revoke_a_token(asking: Asking, deps: Using, token: str) -> Response:
        await manage_people.revoke_token(deps.door, asking, TokenId(token[:64]))
        return back("tokens")

    # People ---------------------------------------------------------------------------------------------------------

    async def people(
        request: Request, asking: Principal, deps: Deps, error: str = "", link: str = "", status: int = 200
    ) -> Response:
        return await show(
            request,
            asking,
            "people",
            status,
            error=error,
            link=f"{deps.door.party.origin}/sign-in/link/{link}" if link else "",
            people=await deps.door.reads.people(PEOPLE),
            roles=list(Role),
            matrix=MATRIX,
            permissions=list(Permission),
            may=MAY,
            me=asking.person,
        )

    @routes.get("/settings/people", needs=Permission.PEOPLE_READ)
    async def people_page(request: Request, asking: Asking, deps: Using) -> Response:
        return await people(request, asking, deps)

    @routes.post("/settings/people", needs=Permission.PEOPLE_CHANGE)
    async def add_a_person(
        request: Request,
        asking: Asking,
        deps: Using,
        name: Text = "",
        display: Text = "",
        role: Annotated[Role, Form()] = Role.VIEWER,
        sites: Text = "",
        classes: Text = "",
    ) -> Response:
        scope = Scope(
            tuple(SiteName(each) for each in _names(sites)), tuple(DeviceClass(each) for each in _names(classes))
        )
        try:
            _, link = await manage_people.add_person(deps.door, asking, name.strip(), display.strip(), role, scope)
        except BastideError as error:
            return await people(request, asking, deps, error.sentence, status=status_of(error))
        return await people(request, asking, deps, link=link)

    @routes.post("/settings/people/{person}/link", needs=Permission.PEOPLE_CHANGE)
    async def make_link(request: Request, asking: Asking, deps: Using, person: str) -> Response:
        try:
            link = await manage_people.sign_in_link(deps.door, asking, PersonId(person[:64]))
        except AccessRefused as error:
            return await people(request, asking, deps, error.sentence, status=status_of(error))
        return await people(request, asking, deps, link=link)

    @routes.post("/settings/people/{person}", needs=Permission.PEOPLE_CHANGE)
    async def change_a_person(
        request: Request,
        asking: Asking,
        deps: Using,
        person: str,
        role: Annotated[Role | None, Form()] = None,
        enabled: Annotated[bool | None, Form()] = None,
    ) -> Response:
        change = manage_people.Change(role=role, enabled=enabled)
        try:
            await manage_people.change_person(deps.door, asking, PersonId(person[:64]), change)
        except BastideError as error:
            return await people(request, asking, deps, error.sentence, status=status_of(error))
        return back("people")

    # Classes and profiles -------------------------------------------------------------------------------------------

    async def classes(
        request: Request, asking: Principal, deps: Deps, error: str = "", document: str = "", status: int = 200
    ) -> Response:
        catalogue = deps.governing.stores.catalogue
        seen = [
            one for one in await catalogue.classes() if not asking.scope.classes or one.name in asking.scope.classes
        ]
        return await show(
            request,
            asking,
            "classes",
            status,
            error=error,
            classes=sorted(seen, key=lambda one: one.name),
            profiles=sorted(await catalogue.profiles(), key=lambda one: one.name),
            document=document,
        )

    @routes.get("/settings/classes", needs=Permission.PROFILE_READ)
    async def classes_page(request: Request, asking: Asking, deps: Using) -> Response:
        return await classes(request, asking, deps)

    @routes.post("/settings/classes", needs=Permission.PROFILE_CHANGE)
    async def store_a_profile(request: Request, asking: Asking, deps: Using, document: Document = "") -> Response:
        try:
            await describe_kinds.put_profile(document, asking.actor, deps.governing)
        except BastideError as error:
            return await classes(request, asking, deps, error.sentence, document, status_of(error))
        return back("classes")

    # Policy ---------------------------------------------------------------------------------------------------------

    async def policy(
        request: Request,
        asking: Principal,
        deps: Deps,
        *,
        document: str | None = None,
        simulation: Simulation | None = None,
        error: str = "",
        status: int = 200,
    ) -> Response:
        policies = deps.governing.stores.policies
        in_force = await policies.current()
        return await show(
            request,
            asking,
            "policy",
            status,
            error=error,
            policy=in_force,
            document=document if document is not None else await policies.document(),
            simulation=simulation,
        )

    @routes.get("/settings/policy", needs=Permission.POLICY_READ)
    async def policy_page(request: Request, asking: Asking, deps: Using) -> Response:
        return await policy(request, asking, deps)

    @routes.post("/settings/policy/simulate", needs=Permission.POLICY_SIMULATE)
    async def try_policy(request: Request, asking: Asking, deps: Using, document: Document = "") -> Response:
        try:
            simulation = await change_policy.simulate_policy(document, deps.governing, asking.scope)
        except Refused as error:
            return await policy(request, asking, deps, document=document, error=error.sentence, status=status_of(error))
        return await policy(request, asking, deps, document=document, simulation=simulation)

    @routes.post("/settings/policy", needs=Permission.POLICY_CHANGE)
    async def put_in_force(
        request: Request, asking: Asking, deps: Using, document: Document = "", reason: Text = "", digest: Text = ""
    ) -> Response:
        try:
            simulation = await change_policy.simulate_policy(document, deps.governing, asking.scope)
            if simulation.digest != digest:
                raise Refused("The policy was changed after it was simulated; look at what it would do first.")
            if not reason.strip():
                raise Refused("Say why the policy changes; it is recorded with your name.")
            await change_policy.apply_policy(document, reason.strip(), asking.actor, deps.governing)
        except Refused as error:
            return await policy(request, asking, deps, document=document, error=error.sentence, status=status_of(error))
        return back("policy")

    # Waivers --------------------------------------------------------------------------------------------------------

    async def waiver_list(
        request: Request, asking: Principal, deps: Deps, error: str = "", status: int = 200
    ) -> Response:
        looking = reader(deps, asking)
        return await show(
            request,
            asking,
            "waivers",
            status,
            error=error,
            waivers=await waivers(deps.governing.stores, looking, deps.clock.now()),
            rules=(await deps.governing.stores.policies.current()).rules,
            boundless=asking.scope.boundless,
        )

    @routes.get("/settings/waivers", needs=Permission.WAIVER_READ)
    async def waivers_page(request: Request, asking: Asking, deps: Using) -> Response:
        return await waiver_list(request, asking, deps)

    @routes.post("/settings/waivers", needs=Permission.WAIVER_CHANGE)
    async def grant_waiver(
        request: Request,
        asking: Asking,
        deps: Using,
        rule: Text = "",
        subject: Text = "",
        owner: Text = "",
        reason: Text = "",
        days: Annotated[int, Form(ge=1, le=365)] = 7,
    ) -> Response:
        try:
            about = await subject_of(subject, reader(deps, asking))
            if not owner.strip():
                raise Refused("A waiver has an owner: name who answers for it.")
            await operator_acts.waive(
                RuleId(rule),
                about,
                OwnerName(owner.strip()[:63]),
                reason,
                ends(deps.clock.now(), days),
                asking.actor,
                deps.governing,
                deps.ids,
            )
        except Refused as error:
            return await waiver_list(request, asking, deps, error.sentence, status_of(error))
        return back("waivers")

    @routes.post("/settings/waivers/{waiver}/end", needs=Permission.WAIVER_CHANGE)
    async def end_one(
        request: Request, asking: Asking, deps: Using, waiver: str, reason: Text = "Ended in the console"
    ) -> Response:
        looking = reader(deps, asking)
        held = await waivers(deps.governing.stores, looking, deps.clock.now())
        found: Known | None = next((one for one in held if one.waiver.id == waiver), None)
        if found is None or not may_end(found, looking):
            raise NotFound(f"There is no waiver {waiver[:40]} in force that you could end.")
        await operator_acts.end_waiver(found.waiver, reason, asking.actor, deps.governing)
        return back("waivers")

    # Keys -----------------------------------------------------------------------------------------------------------

    @routes.get("/settings/keys", needs=Permission.LEDGER_READ)
    async def keys_page(request: Request, asking: Asking, deps: Using) -> Response:
        found = await asyncio.to_thread(kept, certificates, deps.clock.now())
        return await show(request, asking, "keys", kept=found, checkpoint_key=pages.checkpoint_key)


def _names(text: str) -> list[str]:
    return [each.strip() for each in text.replace(",", " ").split() if each.strip()]
