"""``bastide device``: find devices, see why each stands as it does, take one off the network and let it back."""

import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from bastide.cli.client import Client, connect
from bastide.cli.output import DATA, JSON, ago, document, facts, printable, table
from bastide.core.error import Refused

app = typer.Typer(rich_markup_mode=None)

PATIENCE_S = 5.0

DEVICE = Annotated[str, typer.Argument(metavar="DEVICE", help="Its id, or a part of id or name that only one has.")]
REASON = Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept with the act.")]


@app.command("list")
def list_devices(
    text: Annotated[
        str, typer.Argument(metavar="[TEXT]", help="Only those with this in id, name, owner or class.")
    ] = "",
    standing: Annotated[list[str] | None, typer.Option("--standing", help="Only these standings.")] = None,
    device_class: Annotated[list[str] | None, typer.Option("--class", help="Only these classes.")] = None,
    site: Annotated[list[str] | None, typer.Option("--site", help="Only these sites.")] = None,
    most: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 10_000,
    json: JSON = False,
    data: DATA = "",
) -> None:
    """List the devices that you may see."""
    with connect(data) as api:
        query = {"text": text, "standing": standing, "class": device_class, "site": site}
        found = list(api.pages("/devices", most=most, **query))
    if json:
        document(found)
        return
    rows = [
        (
            device["id"],
            device["name"] or "-",
            device["device_class"],
            device["site"],
            device["standing"],
            device["stage"],
            ago(device["last_seen"]),
        )
        for device in found
    ]
    columns = ("ID", "NAME", "CLASS", "SITE", "STANDING", "STAGE", "LAST SEEN")
    table(columns, rows, empty="There are no such devices. `bastide claim create` makes a claim to enrol one with.")


@app.command()
def updates(device: DEVICE, json: JSON = False, data: DATA = "") -> None:
    """Show what a device measured that it runs, and the rollouts that it had a part in."""
    with connect(data) as api:
        found = api.get(f"/devices/{api.device(device)}/updates")
    if json:
        document(found)
        return
    running = found["running"]
    if running is None:
        typer.echo("It never said what it runs.")
    else:
        facts(
            {
                "runs": f"{running['version'] or 'unknown'}{', on trial' if running['on_trial'] else ''}",
                "measured": running["sha256"] or "nothing",
                "hardware": running["hardware"] or "unknown",
                "security counter": "unknown" if running["counter"] is None else running["counter"],
                "said": ago(running["reported_at"]),
            }
        )
    rows = [
        (one["rollout"], one["state"], one["before"] or "-", ago(one["began"]), str(one["tries"]), one["because"])
        for one in found["parts"]
    ]
    table(("ROLLOUT", "STATE", "RAN BEFORE", "BEGAN", "TRIES", "BECAUSE"), rows, empty="It had no part in a rollout.")


@app.command()
def show(device: DEVICE, json: JSON = False, data: DATA = "") -> None:
    """Show one device: what it is, how it stands, what it may do."""
    with connect(data) as api:
        id = api.device(device)
        known, held = api.get(f"/devices/{id}"), api.get(f"/devices/{id}/enforcement")
    if json:
        document(known | {"enforcement": held})
        return
    facts(
        {
            "id": known["id"],
            "name": known["name"] or "-",
            "class": known["device_class"],
            "profile": known["profile"],
            "owner": known["owner"],
            "site": f"{known['site']} (zone {known['zone']})",
            "standing": f"{known['standing']}, decided {ago(known['decided_at'])}",
            "stage": known["stage"],
            "last seen": ago(known["last_seen"]),
            "known since": known["created_at"],
        }
    )
    for attribute in known["attributes"]:
        sure = round(attribute["confidence"] * 100)
        typer.echo(printable(f"  {attribute['name']} = {attribute['value']}  ({attribute['source']}, {sure} % sure)"))
    typer.echo("")
    _enforcement(held["plan"], held["outcomes"])


@app.command()
def explain(device: DEVICE, json: JSON = False, data: DATA = "") -> None:
    """Explain a standing, from evidence to what holds now."""
    with connect(data) as api:
        told = api.get(f"/devices/{api.device(device)}/explanation")
    if json:
        document(told)
        return
    known = told["device"]
    typer.echo(printable(f"{known['name'] or known['device_class']} ({known['id']}): {known['standing'].upper()}"))
    typer.echo(printable(f"  class {known['device_class']}, owner {known['owner']}, site {known['site']}"))
    _reasons(told)
    typer.echo("")
    _enforcement(told["plan"], told["outcomes"])
    _risk(told["risk"])
    if told["findings"]:
        typer.echo("\nFindings")
        for finding in told["findings"]:
            typer.echo(
                printable(f"  {finding['severity']}: {finding['title']} ({finding['code']}). {finding['advice']}")
            )
    typer.echo("\nLedger, newest first")
    for record in told["records"][:10]:
        typer.echo(printable(f"  {record['id']}  {record['kind']}  {ago(record['at'])}  by {record['actor']}"))


@app.command()
def quarantine(device: DEVICE, reason: REASON, json: JSON = False, data: DATA = "") -> None:
    """Take a device off the network until a person releases it."""
    _act(device, "quarantine", {"reason": reason}, json, data)


@app.command()
def release(
    device: DEVICE,
    reason: REASON,
    rule: Annotated[str, typer.Option("--rule", help="Let go of this rule only.")] = "",
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Let go of what rules hold against a device."""
    _act(device, "release", {"reason": reason} | ({"rule": rule} if rule else {}), json, data)


@app.command()
def retire(
    device: DEVICE,
    reason: REASON,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: JSON = False,
    data: DATA = "",
) -> None:
    """End a device's life here: its certificates are revoked, it may go nowhere, and it does not come back."""
    if not yes and not typer.confirm(printable(f"Retire {device}? There is no way back"), err=True):
        raise Refused("Nothing was done.", code="cli:not-confirmed")
    _act(device, "retirement", {"reason": reason}, json, data)


@app.command("break-glass")
def break_glass(
    device: DEVICE,
    reason: REASON,
    standing: Annotated[str, typer.Option("--standing", help="trusted, restricted or quarantined.")] = "trusted",
    minutes: Annotated[int, typer.Option("--minutes", min=1, max=1440, help="It ends by itself after these.")] = 60,
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Set every rule aside for a device, for a while."""
    _act(device, "break-glass", {"reason": reason, "standing": standing, "minutes": minutes}, json, data)


def _act(device: str, act: str, body: Mapping[str, Any], json: bool, data: str) -> None:
    with connect(data) as api:
        id = api.device(device)
        done = api.post(f"/devices/{id}/{act}", body)
        held = _settled(api, id, done)
    if json:
        document({"decision": done["decision"], **held})
    else:
        decision = done["decision"]
        typer.echo(printable(f"{id}: {decision['standing']}: {decision['because']}"))
        _outcomes(held["outcomes"], held["plan"]["generation"] if held["plan"] else None)
    # What did not take hold is carried out by the loop later, but whoever typed this has to know.
    if not _took_hold(held):
        raise typer.Exit(1)


def _settled(api: Client, id: str, done: Mapping[str, Any]) -> Mapping[str, Any]:
    """The plan and what holds, once every point has taken it or some seconds went by."""
    held, last = {"plan": done["plan"], "outcomes": done["outcomes"]}, time.monotonic() + PATIENCE_S
    while not _took_hold(held) and time.monotonic() < last:
        time.sleep(0.1)
        held = api.get(f"/devices/{id}/enforcement")
    return held


def _took_hold(held: Mapping[str, Any]) -> bool:
    plan, outcomes = held["plan"], held["outcomes"]
    return plan is None or (
        bool(outcomes) and all(not one["error"] and one["generation"] >= plan["generation"] for one in outcomes)
    )


def _reasons(told: Mapping[str, Any]) -> None:
    decision = told["decision"]
    typer.echo("\nWhy")
    if decision is None:
        typer.echo("  Nothing was decided yet.")
        return
    typer.echo(printable(f"  {decision['because']}"))
    typer.echo(
        f"  decided {ago(decision['at'])}, was {decision['previous']}; policy {decision['policy'][:12]}"
        + (f"; decided again {ago(decision['reconsider_at'])} at the latest" if decision["reconsider_at"] else "")
    )
    for reason in told["reasons"]:
        until = f"until {reason['until']}" if reason["until"] else "until a person lets go"
        waived = f", waived by {reason['waived_by']}" if reason["waived_by"] else ""
        typer.echo(printable(f"  rule {reason['rule']}: at most {reason['cap']}, {until}{waived}"))
        typer.echo(printable(f"    {reason['because']}"))
        for fact in reason["evidence"]:
            many = f" ×{fact['count']}" if fact["count"] != 1 else ""
            line = f"    evidence {fact['id']}  {fact['kind']}{many}  {ago(fact['observed_at'])}  from {fact['source']}"
            typer.echo(printable(f"{line} ({fact['trust']})"))
            if fact["body"]:
                typer.echo(printable("      " + ", ".join(f"{name} = {value}" for name, value in fact["body"].items())))


def _enforcement(plan: Mapping[str, Any] | None, outcomes: list[Mapping[str, Any]]) -> None:
    if plan is None:
        typer.echo("What must hold\n  No plan was made yet.")
        return
    typer.echo(f"What must hold (plan {plan['generation']}, made {ago(plan['made_at'])})")
    grant = plan["broker"]
    if grant["publish"] or grant["subscribe"]:
        typer.echo(printable(f"  broker      publish {', '.join(grant['publish']) or 'nothing'}"))
        typer.echo(printable(f"              subscribe {', '.join(grant['subscribe']) or 'nothing'}"))
        typer.echo(f"              {grant['rate_per_second']:g} messages/s, {grant['max_payload_bytes']} bytes each")
    else:
        typer.echo("  broker      no connection at all")
    typer.echo(f"  credential  {plan['credential']}")
    typer.echo(f"  update      {plan['update']}")
    typer.echo("\nWhat holds now")
    _outcomes(outcomes, plan["generation"])


def _outcomes(outcomes: list[Mapping[str, Any]], wanted: int | None = None) -> None:
    for outcome in outcomes:
        late = wanted is not None and outcome["generation"] < wanted
        state = f"NOT: {outcome['error']}" if outcome["error"] else outcome["holds"]
        old = f" (older: plan {outcome['generation']})" if late else ""
        typer.echo(printable(f"  {outcome['point']:<10}  {state}{old}, {ago(outcome['applied_at'])}"))
    if not outcomes:
        typer.echo("  No point was reached yet.")


def _risk(risk: Mapping[str, Any]) -> None:
    factors = f"impact {risk['impact']:.2f} × exposure {risk['exposure']:.2f} × likelihood {risk['likelihood']:.2f}"
    typer.echo(f"\nRisk {risk['score']:.2f} = {factors} (orders work only)")
    for term in risk["terms"]:
        typer.echo(printable(f"  {term['factor']} {term['value']:+.2f}: {term['because']}"))
