"""A firmware check as one page that can be mailed: no script, nothing from elsewhere, readable on paper."""

from collections.abc import Mapping
from html import escape
from typing import Any

from bastide.cli.firmware import grouped
from bastide.cli.output import printable
from bastide.cli.scan_html import STYLE

MOST = 60


def _text(value: object) -> str:
    return escape(printable(str(value)))


def page(report: Mapping[str, Any], name: str) -> str:
    """The whole page."""
    coverage = report["coverage"]
    items = []
    for first, found in grouped(report):
        paths = "".join(f"<li><code>{_text(one['path'])}</code> {_text(one['message'])}</li>" for one in found[:MOST])
        more = f"<p class='dim'>and {len(found) - MOST} more</p>" if len(found) > MOST else ""
        items.append(
            f'<li class="{first["severity"]}"><span class="level">{first["severity"]}</span>'
            f"<strong>{_text(first['code'])}</strong> <span class='dim'>{len(found)}</span><p>{_text(first['advice'])}</p>"
            f"<p class='dim'>{_text(', '.join(first['provisions']))}</p>"
            f"<details><summary>Where</summary><ul>{paths}</ul>{more}</details></li>"
        )
    rows = "".join(
        f"<tr><td>{_text(one['name'])}</td><td>{_text(one['version'])}</td><td>{one['confidence']:.0%}</td>"
        f"<td>{_text(one['source'])}</td><td>{one['file_count']}</td></tr>"
        for one in report["components"]
    )
    cuts = "".join(
        f"<li><code>{_text(cut['path'])}</code> {_text(cut['reason'])}</li>" for cut in report["limits"][:200]
    )
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            f"<title>What is in {_text(name)}</title><style>{STYLE}</style></head><body><h1>What is in {_text(name)}</h1>",
            f"<p>{coverage['files']:,} files, {coverage['bytes'] / 1e6:,.1f} MB. The components explain "
            f"{coverage['share_of_files']:.0%} of the files and {coverage['share_of_bytes']:.0%} of the bytes.</p>",
            f"<h2>What to do first</h2><ol class='first'>{''.join(items) or '<li>Nothing was found wrong.</li>'}</ol>",
            "<h2>Components</h2><table><thead><tr><th>Component</th><th>Version</th><th>Sure</th><th>By</th><th>Files</th></tr>",
            f"</thead><tbody>{rows}</tbody></table>",
            f"<h2>Cut short</h2><ul>{cuts}</ul>" if cuts else "",
            '<p class="dim">Made by bastide firmware check. What could not be unpacked is not in here.</p></body></html>',
        )
    )
