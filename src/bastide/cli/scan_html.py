"""A scan as one page that can be mailed: no script, nothing from elsewhere, readable on paper."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from bastide.cli.output import printable
from bastide.cli.scan_text import kinds, name_of, placed, summary_lines, urgent

STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--dim:#5d6b7c;--line:#d9e0e8;--card:#f6f8fa;--page:#fff;
--critical:#a8071a;--high:#cf3a21;--medium:#9a6700;--low:#2b6cb0;--info:#5d6b7c}
@media (prefers-color-scheme:dark){:root{--ink:#e6ebf1;--dim:#9aa7b5;--line:#2b3541;--card:#171d25;--page:#0f141a;
--critical:#ff7b86;--high:#ff8f73;--medium:#e3b341;--low:#79b8ff}}
*{box-sizing:border-box}body{margin:0 auto;max-width:1100px;padding:2.5rem 1.25rem;color:var(--ink);background:var(--page);
font:15px/1.5 system-ui,sans-serif}h1{font-size:1.7rem;margin:0 0 .25rem}h2{font-size:1.15rem;margin:2.2rem 0 .6rem}
p{margin:.3rem 0}.dim{color:var(--dim)}ol.first{list-style:none;padding:0;margin:0}
ol.first li{border:1px solid var(--line);border-left:4px solid var(--mark);background:var(--card);border-radius:6px;
padding:.7rem 1rem;margin:.5rem 0}.level{color:var(--mark);font-weight:600;text-transform:capitalize;margin-right:.5rem}
.critical{--mark:var(--critical)}.high{--mark:var(--high)}.medium{--mark:var(--medium)}.low{--mark:var(--low)}
.info{--mark:var(--info)}table{border-collapse:collapse;width:100%;font-size:.92rem}th{text-align:left;color:var(--dim);
font-weight:500}td,th{padding:.45rem .6rem .45rem 0;border-bottom:1px solid var(--line);vertical-align:top}
code{font:.88em ui-monospace,monospace}.tag{color:var(--mark);white-space:nowrap}.tag+.tag:before{content:"";display:block}
details summary{cursor:pointer}ul{margin:.3rem 0 .3rem 1.1rem;padding:0}
@media print{body{padding:0}details{break-inside:avoid}tr{break-inside:avoid}}
"""


def _text(value: object) -> str:
    return escape(printable(str(value)))


def page(report: Mapping[str, Any], names: Sequence[str]) -> str:
    """The whole page."""
    lines = "".join(f"<p>{_text(line)}</p>" for line in summary_lines(report, names))
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>What is on this network</title><style>{STYLE}</style></head><body>",
        f"<h1>What is on this network</h1>{lines}",
        _first(report["devices"]),
        _kinds(report["devices"]),
        _devices(report["devices"]),
        _protocols(report),
        '<p class="dim">Made by bastide scan from recorded traffic. What was not in the traffic is not in here.</p>',
        "</body></html>",
    ]
    return "".join(parts)


def _first(devices: Sequence[Mapping[str, Any]]) -> str:
    groups = urgent(devices)
    if not groups:
        return ""
    items = []
    for finding, having in groups:
        named = ", ".join(_text(placed(device)) for device in having[:12])
        more = f" and {len(having) - 12} more" if len(having) > 12 else ""
        items.append(
            f'<li class="{finding["severity"]}"><span class="level">{finding["severity"]}</span>'
            f"<strong>{_text(finding['title'])}</strong><p class='dim'>{named}{more}</p><p>{_text(finding['advice'])}</p></li>"
        )
    return f"<h2>What to do first</h2><ol class='first'>{''.join(items)}</ol>"


def _kinds(devices: Sequence[Mapping[str, Any]]) -> str:
    found = kinds(devices)
    if len(found) < 2:
        return ""
    rows = "".join(
        f"<tr><td>{one.devices}</td><td>{_text(one.name)}</td><td>{one.weak or ''}</td></tr>" for one in found
    )
    head = "<tr><th>Devices</th><th>Kind</th><th>With weaknesses</th></tr>"
    return f"<h2>What is there</h2><table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def _devices(devices: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for device in devices:
        addresses = "<br>".join(
            f"<code>{_text(address)}</code>" for address in [device["mac"] or "", *device["ips"][:3]] if address
        )
        tags = "".join(
            f'<span class="tag {finding["severity"]}">{_text(finding["code"].partition(":")[2])}</span>'
            for finding in device["findings"]
        )
        kind = device["type"]
        typed = f"{_text(kind['value'])} <span class='dim'>{kind['confidence']:.0%}</span>" if kind["value"] else ""
        rows.append(
            f"<tr><td>{_text(name_of(device))}{' <span class=dim>(gateway)</span>' if device['gateway'] else ''}"
            f"{'<br>' + typed if typed and kind['value'] != name_of(device) else ''}{_detail(device)}</td>"
            f"<td>{addresses}</td><td>{_text(device['vendor'] or '')}</td>"
            f"<td>{_text(', '.join(device['protocols']))}</td><td>{tags}</td></tr>"
        )
    head = "<tr><th>Device</th><th>Addresses</th><th>Maker</th><th>Speaks</th><th>Findings</th></tr>"
    return f"<h2>Devices ({len(devices)})</h2><table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def _detail(device: Mapping[str, Any]) -> str:
    lines = [
        f"answers {_text(service['protocol'])} on {_text(service['transport'])} port {service['port']}"
        for service in device["services"]
    ]
    lines += [f"{_text(word)}: {_text(', '.join(values))}" for word, values in device["says"].items()]
    for finding in device["findings"]:
        lines += [f"{_text(finding['code'])}: {_text(entry)}" for entry in finding["evidence"]]
    if not lines:
        return ""
    return f"<details><summary class='dim'>details</summary><ul>{''.join(f'<li>{line}</li>' for line in lines)}</ul></details>"


def _protocols(report: Mapping[str, Any]) -> str:
    spoken = ", ".join(f"{_text(name)} {count:,}" for name, count in report["protocols"].items())
    damage = "".join(f"<li>{_text(reason)}: {count:,}</li>" for reason, count in report["undecodable"].items())
    missing = f"<h2>Not decoded</h2><ul>{damage}</ul>" if damage else ""
    return f"<h2>Flows by protocol</h2><p>{spoken}</p>{missing}"
