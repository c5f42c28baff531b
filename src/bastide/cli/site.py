"""``bastide site``: what the network of each site is like, for its gateways."""

from pathlib import Path
from typing import Annotated

import typer

from bastide.cli.client import connect, segment
from bastide.cli.files import read_text
from bastide.cli.output import DATA, JSON, ago, document, printable, table
from bastide.core.error import NotFound
from bastide.wire.gateway import FrameForm, decode_content

app = typer.Typer(rich_markup_mode=None)
MAX_BYTES = 1024 * 1024


@app.command("list")
def list_sites(json: JSON = False, data: DATA = "") -> None:
    """List the sites that somebody described."""
    with connect(data) as api:
        found = api.get("/sites")["items"]
    if json:
        document(found)
        return
    rows = [(one["site"], ago(one["changed_at"]), one["changed_by"]) for one in found]
    table(("SITE", "CHANGED", "BY"), rows, empty="No site is described yet; see docs/gateway.md.")


@app.command()
def show(site: Annotated[str, typer.Argument(metavar="SITE")], data: DATA = "") -> None:
    """Print what is written down of a site, as it is put."""
    with connect(data) as api:
        found = [one for one in api.get("/sites")["items"] if one["site"] == site]
    if not found:
        raise NotFound(f"Nothing is written down of the site {site}. `bastide site put {site} FILE` does it.")
    typer.echo(printable(found[0]["document"]))


@app.command()
def put(
    site: Annotated[str, typer.Argument(metavar="SITE")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A site's frame (JSON), see docs/gateway.md.")],
    json: JSON = False,
    data: DATA = "",
) -> None:
    """Write down what all gateways of a site share: controllers, remediation, onboarding, conduits."""
    text = read_text(file, MAX_BYTES, "description of a site")
    decode_content(text.encode(), FrameForm)  # what is wrong with it is said before anything is sent
    with connect(data) as api:
        kept = api.put(f"/sites/{segment(site)}", {"document": text})
    if json:
        document(kept)
    else:
        typer.echo(printable(f"The site {site} is described; its gateways hold it within seconds."))
