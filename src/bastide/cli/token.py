"""``bastide token``: API tokens, for programs."""

from typing import Annotated

import typer

from bastide.cli.client import connect, segment
from bastide.cli.output import DATA, JSON, ago, document, printable, table
from bastide.cli.span import span

app = typer.Typer(rich_markup_mode=None)


@app.command("list")
def list_tokens(
    everybody: Annotated[bool, typer.Option("--all", help="Those of all people (auditors and admins).")] = False,
    json: JSON = False,
    data: DATA = "",
) -> None:
    """List your API tokens, those that ended too."""
    with connect(data) as api:
        found = list(api.pages("/tokens", everybody="true" if everybody else None))
    if json:
        document(found)
        return
    rows = [
        (
            one["id"],
            one["label"],
            one["role"],
            ", ".join([*one["scope"]["sites"], *one["scope"]["classes"]]) or "everything",
            f"revoked {ago(one['revoked_at'])}" if one["revoked_at"] else f"ends {ago(one['expires_at'])}",
            ago(one["last_used"]),
            one["owner"],
        )
        for one in found
    ]
    table(("ID", "LABEL", "ROLE", "SCOPE", "LIFE", "LAST USED", "OWNER"), rows, empty="There are no tokens.")


@app.command()
def create(
    label: Annotated[str, typer.Argument(metavar="LABEL", help="What it is for.")],
    role: Annotated[
        str, typer.Option("--role", help="viewer, operator, auditor or admin; never more than yours.")
    ] = "viewer",
    site: Annotated[list[str] | None, typer.Option("--site", help="Only these sites.")] = None,
    device_class: Annotated[list[str] | None, typer.Option("--class", help="Only these device classes.")] = None,
    life: Annotated[str, typer.Option("--ttl", metavar="SPAN", help="How long it lives, such as 8h or 90d.")] = "90d",
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Create an API token; its secret is printed once."""
    body = {
        "label": label,
        "role": role,
        "scope": {"sites": site or [], "classes": device_class or []},
        "life_s": int(span(life).total_seconds()),
    }
    with connect(data) as api:
        made = api.post("/tokens", body)
    if json:
        document(made)
        return
    typer.echo(made["secret"])
    token = made["token"]
    typer.echo(printable(f"{token['id']} ({token['role']}), ends {token['expires_at']}; shown this once."), err=True)


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="Its id, t-…")], json: JSON = False, data: DATA = ""
) -> None:
    """End an API token at once."""
    with connect(data) as api:
        ended = api.delete(f"/tokens/{segment(token)}")
    if json:
        document(ended)
    else:
        typer.echo(printable(f"{ended['id']} ({ended['label']}) is revoked."))
