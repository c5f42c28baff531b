"""What a scan hands back: plain values, in the form of ``bastide scan --json``."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from bastide.network.traffic.devices import SeenDevice, Vendor, devices_of, moment
from bastide.network.traffic.findings import Observed, findings_of
from bastide.network.traffic.identity.match import Identity, Matcher
from bastide.network.traffic.identity.observation import observations_of
from bastide.network.traffic.identity.recog import Recog
from bastide.network.traffic.identity.tokens import tokens_of
from bastide.network.traffic.kernel.tables import (
    C_BYTES,
    C_DEVICES_EVICTED,
    C_FIRST,
    C_FLOWS,
    C_FLOWS_EVICTED,
    C_LAST,
    C_LIMITED,
    C_PACKETS,
    C_PAIRS_EVICTED,
    C_TRUNCATED,
)
from bastide.network.traffic.logs import Logs
from bastide.network.traffic.survey import Survey, counts_by_protocol
from bastide.network.traffic.words import REASONS

OWN_WORD = 0.7
"""How sure a device's own word about its model is."""

_SHOWN = (
    "manufacturer",
    "model",
    "product",
    "model-number",
    "firmware",
    "vendor-class",
    "platform",
    "server",
    "upnp-server",
    "mud-url",
)


def report_of(
    survey: Survey,
    vendor: Vendor,
    matcher: Matcher | None = None,
    *,
    devices: tuple[SeenDevice, ...] | None = None,
    recog: Recog | None = None,
) -> dict[str, Any]:
    """Everything a survey knows, as values for JSON. With a ``matcher`` devices are compared with a fingerprint base;
    with ``recog`` their banners are recognised; ``devices`` are the survey's, where they have been asked for already."""
    devices = devices_of(survey, vendor) if devices is None else devices
    if matcher is None:
        types = [_own_words(device) for device in devices]
    else:
        seen = observations_of(survey, devices)
        types = [_matched(matcher.answer(tokens_of(one))) for one in seen]
    tables = survey.tables
    counters = tables.counters.tolist()
    undecodable = {REASONS[number]: int(count) for number, count in enumerate(tables.reasons) if count}
    for name, count in sorted(survey.malformed.items()):
        undecodable[f"{name} message malformed"] = count
    return {
        "packets": counters[C_PACKETS],
        "bytes": counters[C_BYTES],
        "flows": counters[C_FLOWS],
        "protocols": counts_by_protocol(tables),
        "undecodable": undecodable,
        "devices": [
            device_entry(device, kind, findings_of(device)) | _recognised(device, recog)
            for device, kind in zip(devices, types, strict=True)
        ],
        "first_seen": moment(counters[C_FIRST]).isoformat() if counters[C_PACKETS] else None,
        "last_seen": moment(counters[C_LAST]).isoformat() if counters[C_PACKETS] else None,
        "limits": {
            "flows_evicted": counters[C_FLOWS_EVICTED],
            "devices_evicted": counters[C_DEVICES_EVICTED],
            "pairs_evicted": counters[C_PAIRS_EVICTED],
            "messages_over_budget": counters[C_LIMITED],
            "packets_cut_by_snaplen": counters[C_TRUNCATED],
            "messages_dissected": survey.dissected,
        },
    }


def add_logs(report: dict[str, Any], logs: Logs) -> None:
    """Adds what logs counted to a report whose devices are theirs already."""
    report["packets"] += logs.packets
    report["bytes"] += logs.octets
    report["flows"] += logs.flows
    protocols = Counter(report["protocols"]) + logs.protocols
    report["protocols"] = dict(sorted(protocols.items(), key=lambda item: (-item[1], item[0])))
    for reason, count in logs.unreadable.items():
        report["undecodable"][reason] = report["undecodable"].get(reason, 0) + count
    if logs.first is not None and logs.last is not None:
        spans = [datetime.fromtimestamp(one, UTC).isoformat() for one in (logs.first, logs.last)]
        report["first_seen"] = min(filter(None, (report["first_seen"], spans[0])))
        report["last_seen"] = max(filter(None, (report["last_seen"], spans[1])))
    report["limits"]["log_lines"] = logs.lines


def _recognised(device: SeenDevice, recog: Recog | None) -> dict[str, Any]:
    if recog is None:
        return {}
    told = recog.recognise((fact.word, fact.value) for fact in device.facts)
    return {"recognised": [one.as_json() for one in told]}


def _own_words(device: SeenDevice) -> dict[str, Any]:
    """Without a fingerprint base: what the device calls itself. It may lie, so it is never sure."""
    models = device.values("model", "product")
    makers = device.values("manufacturer")
    candidates = []
    for model in models[:5]:
        known = makers[0] if makers and makers[0].lower() not in model.lower() else ""
        candidates.append(
            {
                "type": f"{known} {model}".strip(),
                "confidence": round(OWN_WORD / len(models), 3),
                "because": [f"model={model}", *(f"manufacturer={maker}" for maker in makers[:1])],
            }
        )
    first = candidates[0] if len(candidates) == 1 else None
    return {
        "value": first["type"] if first else None,
        "confidence": first["confidence"] if first else 0.0,
        "candidates": candidates,
        "because": first["because"] if first else [],
    }


def _matched(identity: Identity) -> dict[str, Any]:
    return {
        "value": identity.value,
        "confidence": identity.confidence,
        "candidates": [
            {"type": one.type, "confidence": one.confidence, "because": list(one.because)}
            for one in identity.candidates
        ],
        "because": list(identity.because),
        "siblings": list(identity.siblings),
        "unknown": identity.unknown,
    }


def device_entry(device: SeenDevice, kind: dict[str, Any], findings: tuple[Observed, ...]) -> dict[str, Any]:
    """One device for JSON."""
    return {
        "mac": device.mac,
        "ips": list(device.ips),
        "vendor": device.vendor,
        "hostnames": list(device.hostnames),
        "protocols": list(device.protocols),
        "services": [
            {"port": service.port, "transport": service.transport, "protocol": service.protocol}
            for service in device.services
        ],
        "type": kind,
        "first_seen": device.first_seen.isoformat(),
        "last_seen": device.last_seen.isoformat(),
        "findings": [
            {
                "code": observed.finding.code,
                "severity": observed.finding.severity.value,
                "confidence": observed.finding.confidence,
                "title": observed.finding.title,
                "advice": observed.finding.advice,
                "evidence": list(observed.evidence),
            }
            for observed in findings
        ],
        "says": {word: list(device.values(word))[:8] for word in _SHOWN if device.values(word)},
        "randomised_mac": device.randomised,
        "gateway": device.gateway,
        "peers": device.peers,
        "packets": device.packets,
        "bytes": device.bytes,
    }
