"""``bastide class``: the kinds of device, who answers for each, and the profile that each uses."""

import typer

from bastide.cli.client import connect
from bastide.cli.output import DATA, JSON, document, table

app = typer.Typer(rich_markup_mode=None)


@app.command("list")
def list_classes(json: JSON = False, data: DATA = "") -> None:
    """List the device classes."""
    with connect(data) as api:
        found = api.get("/classes")["items"]
    if json:
        document(found)
        return
    rows = [(one["name"], one["profile"], one["owner"], one["site"], one["impact"]) for one in found]
    table(("NAME", "PROFILE", "OWNER", "SITE", "IMPACT"), rows, empty="There are no classes yet.")
