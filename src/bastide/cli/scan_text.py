"""A scan for people: what is there, what is wrong, what to do first. Written to be forwarded."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bastide.cli.output import printable

_RANK = ("critical", "high", "medium", "low", "info")
_STYLE = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan", "info": "dim"}
MAX_ROWS = 400


def show(report: Mapping[str, Any], names: Sequence[str]) -> None:
    """Prints the report: summary, what to do first, devices, what could not be read."""
    # A report that is piped or mailed has no terminal to fit into.
    console = Console(highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else 120)
    devices = report["devices"]
    console.print()
    console.print(Text("What is on this network", style="bold"))
    console.print(_summary(report, names))
    _first(console, devices)
    _kinds(console, devices)
    _devices(console, devices)
    _rest(console, report)


def name_of(device: Mapping[str, Any]) -> str:
    """What a person would call the device: its own name, else its type or maker, else its address."""
    kind = device["type"]["value"]
    for candidate in (*device["hostnames"][:1], kind, device["vendor"]):
        if candidate:
            return printable(str(candidate))
    return str(device["mac"] or (device["ips"] or ["unknown"])[0])


def placed(device: Mapping[str, Any]) -> str:
    """Its name and where to find it, for several alike."""
    name = name_of(device)
    where = str((device["ips"] or [device["mac"] or ""])[0])
    return name if where in ("", name) else f"{name} ({where})"


def urgent(devices: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], list[Mapping[str, Any]]]]:
    """Each kind of finding, worst first, with the devices that have it."""
    groups: dict[str, tuple[Mapping[str, Any], list[Mapping[str, Any]]]] = {}
    for device in devices:
        for finding in device["findings"]:
            groups.setdefault(finding["code"], (finding, []))[1].append(device)
    return sorted(groups.values(), key=lambda group: (_RANK.index(group[0]["severity"]), -len(group[1])))


class Kind(NamedTuple):
    """Devices that are alike: by their type where it is known, else by their maker. ``weak`` of them show weaknesses."""

    name: str
    devices: int
    weak: int


def kinds(devices: Sequence[Mapping[str, Any]], most: int = 20) -> list[Kind]:
    """What there is, the most numerous first; the rest is one line, so that the numbers add up."""
    counted: dict[str, list[int]] = {}
    for device in devices:
        of = counted.setdefault(_kind(device), [0, 0])
        of[0] += 1
        of[1] += bool(device["findings"])
    found = sorted((Kind(name, *of) for name, of in counted.items()), key=lambda one: (-one.devices, one.name))
    if len(found) <= most:
        return found
    rest = found[most - 1 :]
    others = Kind(f"{len(rest)} other kinds", sum(one.devices for one in rest), sum(one.weak for one in rest))
    return [*found[: most - 1], others]


def _kind(device: Mapping[str, Any]) -> str:
    if device["type"]["value"]:
        return printable(str(device["type"]["value"]))
    if device["vendor"]:
        return "made by " + printable(str(device["vendor"])).rstrip(", ")
    return "with a randomised address" if device["randomised_mac"] else "of a maker that is not known"


def size(count: int) -> str:
    """``3.4 MB``."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return ""


def summary_lines(report: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Two or three sentences that say what was read and how it stands."""
    devices = report["devices"]
    findings = Counter(finding["severity"] for device in devices for finding in device["findings"])
    source = printable(names[0]) if len(names) == 1 else f"{len(names)} captures"
    lines = [
        f"{len(devices)} devices in {source}: {report['packets']:,} packets, {size(report['bytes'])}, "
        f"{report['flows']:,} flows"
        + (
            f", {report['first_seen'][:16].replace('T', ' ')} to {report['last_seen'][:16].replace('T', ' ')} UTC"
            if report["first_seen"]
            else ""
        )
        + "."
    ]
    if findings:
        said = ", ".join(f"{findings[level]} {level}" for level in _RANK if findings[level])
        affected = sum(1 for device in devices if device["findings"])
        lines.append(f"{affected} of them show weaknesses: {said}.")
    elif devices:
        lines.append("No weakness shows in this traffic. That is what was seen, not a proof that there is none.")
    return lines


def _summary(report: Mapping[str, Any], names: Sequence[str]) -> str:
    return "\n".join(summary_lines(report, names)) + "\n"


def _first(console: Console, devices: Sequence[Mapping[str, Any]]) -> None:
    groups = urgent(devices)
    if not groups:
        return
    console.print(Text("What to do first", style="bold"))
    for place, (finding, having) in enumerate(groups[:8], start=1):
        line = Text(f"{place}. ")
        line.append(finding["severity"], style=_STYLE[finding["severity"]])
        line.append(f"  {finding['title']}")
        console.print(line)
        names = ", ".join(placed(device) for device in having[:5])
        more = f" and {len(having) - 5} more" if len(having) > 5 else ""
        console.print(Text(f"   {names}{more}", style="cyan"))
        console.print(f"   {finding['advice']}")
    console.print()


def _kinds(console: Console, devices: Sequence[Mapping[str, Any]]) -> None:
    found = kinds(devices)
    if len(found) < 2:
        return
    console.print(Text("What is there", style="bold"))
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
    table.add_column("devices", justify="right")
    table.add_column("kind")
    table.add_column("with weaknesses", justify="right")
    for one in found:
        table.add_row(str(one.devices), Text(one.name), str(one.weak) if one.weak else "")
    console.print(table)
    console.print()


def _devices(console: Console, devices: Sequence[Mapping[str, Any]]) -> None:
    if not devices:
        console.print("No device sent anything that could be read.")
        return
    console.print(Text("Devices", style="bold"))
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
    for column in ("name", "address", "maker", "speaks", "findings"):
        # An address or a finding's name that is broken in two can be neither read nor copied.
        table.add_column(column, overflow="fold", no_wrap=column in ("address", "findings"))
    ranked = sorted(devices, key=_worst)
    for device in ranked[:MAX_ROWS]:
        spoken = [
            name
            for name in device["protocols"]
            if name not in ("tcp", "udp", "arp", "icmp", "icmpv6", "igmp", "link-other")
        ]
        where = [printable(device["mac"] or ""), *sorted(device["ips"], key=lambda address: ":" in address)[:2]]
        findings = Text()
        for finding in device["findings"][:4]:
            findings.append(finding["code"].partition(":")[2] + "\n", style=_STYLE[finding["severity"]])
        if len(device["findings"]) > 4:
            findings.append(f"+{len(device['findings']) - 4}")
        table.add_row(
            Text(name_of(device) + (" (gateway)" if device["gateway"] else "")),
            Text("\n".join(entry for entry in where if entry)),
            Text(printable(device["vendor"] or ("randomised address" if device["randomised_mac"] else ""))),
            Text(", ".join(spoken[:6]) + (f" +{len(spoken) - 6}" if len(spoken) > 6 else "")),
            Text("\n").join(findings.split("\n")) if findings else findings,
        )
    console.print(table)
    if len(ranked) > MAX_ROWS:
        console.print(f"and {len(ranked) - MAX_ROWS} more; --json lists all.")
    console.print()


def _worst(device: Mapping[str, Any]) -> tuple[int, int, int]:
    ranks = [_RANK.index(finding["severity"]) for finding in device["findings"]]
    return (min(ranks, default=len(_RANK)), -len(ranks), -device["packets"])


def _rest(console: Console, report: Mapping[str, Any]) -> None:
    if report["undecodable"]:
        console.print(Text("Not decoded", style="bold"))
        for reason, count in report["undecodable"].items():
            console.print(f"  {count:>8,}  {reason}")
    limits = report["limits"]
    lost = {name: limits[name] for name in ("flows_evicted", "devices_evicted", "pairs_evicted") if limits[name]}
    if lost:
        console.print("Tables were full; counted twice or dropped: " + ", ".join(f"{n} {c:,}" for n, c in lost.items()))
    if report.get("not_sandboxed"):
        console.print(Text("Parsed without " + "; ".join(report["not_sandboxed"]), style="dim"))
