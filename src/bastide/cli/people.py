"""``bastide people`` and ``bastide sign-in``: accounts, and links with which their owners sign in."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from bastide.cli.client import Client, connect
from bastide.cli.config import client_settings
from bastide.cli.output import DATA, JSON, ago, document, facts, printable, table
from bastide.core.error import Refused

app = typer.Typer(rich_markup_mode=None)
sign_in = typer.Typer(rich_markup_mode=None)

PERSON = Annotated[str, typer.Argument(metavar="PERSON", help="Name or id of the account.")]
ROLE = Annotated[str | None, typer.Option("--role", help="viewer, operator, auditor or admin.")]
SITES = Annotated[list[str] | None, typer.Option("--site", help="Only these sites.")]
CLASSES = Annotated[list[str] | None, typer.Option("--class", help="Only these device classes.")]


@app.command("list")
def list_people(json: JSON = False, data: DATA = "") -> None:
    """List the accounts."""
    with connect(data) as api:
        found = list(api.pages("/people"))
    if json:
        document(found)
        return
    rows = [
        (
            one["name"],
            one["display"] or "-",
            one["role"],
            _scope(one["scope"]),
            f"disabled {ago(one['disabled_at'])}" if one["disabled_at"] else "enabled",
            one["id"],
        )
        for one in found
    ]
    table(("NAME", "FULL NAME", "ROLE", "SCOPE", "STATE", "ID"), rows, empty="There are no accounts.")


@app.command()
def show(person: PERSON, json: JSON = False, data: DATA = "") -> None:
    """Show one account and its open sessions."""
    with connect(data) as api:
        id = _find(api, person)
        known, sessions = api.get(f"/people/{id}"), api.get(f"/people/{id}/sessions")["items"]
    if json:
        document(known | {"sessions": sessions})
        return
    facts(
        {
            "name": known["name"],
            "full name": known["display"] or "-",
            "id": known["id"],
            "role": known["role"],
            "scope": _scope(known["scope"]),
            "state": "disabled" if known["disabled_at"] else "enabled",
            "signs in with": _means(known),
            "sessions": len(sessions),
        }
    )
    for session in sessions:
        typer.echo(
            printable(f"  {session['id']}  {session['address']}  {ago(session['last_used'])}  {session['agent']}")
        )


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What is typed at sign-in.")],
    role: Annotated[str, typer.Option("--role", help="viewer, operator, auditor or admin.")] = "viewer",
    display: Annotated[str, typer.Option("--full-name", help="What others read.")] = "",
    site: SITES = None,
    device_class: CLASSES = None,
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Add an account and print its first sign-in link."""
    body = {
        "name": name,
        "display": display,
        "role": role,
        "scope": {"sites": site or [], "classes": device_class or []},
    }
    with connect(data) as api:
        made = api.post("/people", body)
    address = client_settings(data).url + made["sign_in"]["path"]
    if json:
        document(made | {"address": address})
    else:
        typer.echo(address)
        typer.echo(printable(f"{name} ({role}); the link opens one session, once, within 24 hours."), err=True)


@app.command()
def change(
    person: PERSON,
    role: ROLE = None,
    display: Annotated[str | None, typer.Option("--full-name", help="What others read.")] = None,
    site: SITES = None,
    device_class: CLASSES = None,
    everything: Annotated[bool, typer.Option("--everything", help="Limited to no site or class any more.")] = False,
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Change role, full name or scope of an account."""
    body: dict[str, Any] = {"role": role, "display": display}
    if everything or site or device_class:
        body["scope"] = {"sites": site or [], "classes": device_class or []}
    _change(person, body, json, data)


@app.command()
def disable(person: PERSON, json: JSON = False, data: DATA = "") -> None:
    """Disable an account and end its sessions and tokens."""
    _change(person, {"enabled": False}, json, data)


@app.command()
def enable(person: PERSON, json: JSON = False, data: DATA = "") -> None:
    """Enable an account again."""
    _change(person, {"enabled": True}, json, data)


@sign_in.command()
def link(
    person: Annotated[str, typer.Argument(metavar="[PERSON]", help="Name or id of the account.")] = "operator",
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Print a new one-time sign-in link; older unused ones end."""
    with connect(data) as api:
        made = api.post(f"/people/{_find(api, person)}/sign-in-links")
    address = client_settings(data).url + made["path"]
    if json:
        document(made | {"address": address})
    else:
        typer.echo(address)


@sign_in.command()
def whoami(json: JSON = False, data: DATA = "") -> None:
    """Show in whose name commands speak to Bastide."""
    with connect(data) as api:
        me = api.get("/me")
    if json:
        document(me)
    else:
        facts({"name": me["name"], "role": me["role"], "scope": _scope(me["scope"]), "by": me["means"]})


def _change(person: str, body: Mapping[str, Any], json: bool, data: str) -> None:
    with connect(data) as api:
        changed = api.patch(f"/people/{_find(api, person)}", body)
    if json:
        document(changed)
    else:
        state = "disabled" if changed["disabled_at"] else "enabled"
        typer.echo(printable(f"{changed['name']}: {changed['role']}, {_scope(changed['scope'])}, {state}"))


def _find(api: Client, named: str) -> str:
    for person in api.pages("/people"):
        if named in (person["id"], person["name"]):
            return str(person["id"])
    raise Refused(f"There is no account {named!r}; `bastide people list` shows those that there are.")


def _scope(scope: Mapping[str, Any]) -> str:
    return ", ".join([*scope["sites"], *scope["classes"]]) or "everything"


def _means(person: Mapping[str, Any]) -> str:
    means = (["a password"] if person["has_password"] else []) + (
        [f"{person['passkeys']} passkeys"] if person["passkeys"] else []
    )
    return " and ".join(means) or "one-time links only"
