"""``bastide credential``: every key and certificate by algorithm and point of its life, and who is late to renew."""

from collections import defaultdict

import typer

from bastide.cli.client import connect
from bastide.cli.output import DATA, JSON, ago, document, printable, table

app = typer.Typer(rich_markup_mode=None)
LIVES = ("fresh", "due", "late", "ended")


@app.command()
def show(json: JSON = False, data: DATA = "") -> None:
    """Show the credentials of the fleet and of the platform."""
    with connect(data) as api:
        found = api.get("/credentials")
    if json:
        document(found)
        return
    for sentence in found["alarms"]:
        typer.echo(printable(f"ALARM  {sentence}"))
    counts: dict[tuple[str, str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for one in found["devices"]:
        kind = one["device_class"], one["site"], one["algorithm"] or "not noted"
        counts[kind][one["life"]] += one["count"]
    rows = [(*kind, *(str(lives.get(life, 0)) for life in LIVES)) for kind, lives in sorted(counts.items())]
    table(
        ("CLASS", "SITE", "ALGORITHM", *(life.upper() for life in LIVES)),
        rows,
        empty="No device has a certificate yet.",
    )
    typer.echo()
    own = [(one["name"], one["algorithm"], ago(one["not_after"]), one["subject"]) for one in found["platform"]]
    table(("PLATFORM", "ALGORITHM", "ENDS", "SUBJECT"), own, empty="")


@app.command()
def late(json: JSON = False, data: DATA = "") -> None:
    """List the devices that should have renewed."""
    with connect(data) as api:
        found = list(api.pages("/credentials/late"))
    if json:
        document(found)
        return
    rows = [(one["device"], one["device_class"], one["site"], ago(one["ends"])) for one in found]
    table(("DEVICE", "CLASS", "SITE", "CERTIFICATE ENDS"), rows, empty="Every device that should have renewed did.")
