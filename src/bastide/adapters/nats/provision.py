"""What must exist in the broker before devices may come: made where missing, corrected where it differs.

- ``$MQTT_msgs`` of the devices' account keeps only what is on its way **to** devices (``$MQTT.msgs.devices.>``). What they
  say (``$MQTT.msgs.up.>``) is in no stream: the ingest worker answers for it, after it has made it durable. If this stream
  took all subjects, as the server makes it by itself, the broker would acknowledge messages that nobody keeps. So this is
  done before the first connection is let in, and again whenever the connection to the broker comes back.
- ``INGEST_<partition>`` is an ingest worker's journal,
  ``EVIDENCE`` what other processes observed, ``KV_plans`` what the broker holds for each device, ``KV_gateways`` the signed
  items of each gateway.
"""

import json
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NATSError

from bastide.core.error import Unavailable

DOWNLINK = "$MQTT_msgs"
EVIDENCE, PLANS = "EVIDENCE", "KV_plans"
GATEWAYS, GATEWAYS_PREFIX = "KV_gateways", "$KV.gateways"
JOURNAL_PREFIX, EVIDENCE_PREFIX, PLANS_PREFIX = "journal", "evidence", "$KV.plans"

API_SECONDS = 10.0
_SECOND = 1_000_000_000
_GIBIBYTE = 1 << 30

_STREAM_NOT_FOUND = 10059


def _stream(name: str, subjects: str, **others: object) -> dict[str, Any]:
    """``discard: new``: a full stream refuses, so the sender keeps what was not acknowledged."""
    common = {"name": name, "subjects": [subjects], "storage": "file", "discard": "new", "retention": "limits"}
    return {**common, **others}


_DOWNLINK = _stream(DOWNLINK, "$MQTT.msgs.devices.>", retention="interest", allow_msg_ttl=True, max_bytes=_GIBIBYTE)
_PLATFORM = (
    _stream(
        EVIDENCE,
        f"{EVIDENCE_PREFIX}.>",
        retention="workqueue",
        max_bytes=_GIBIBYTE // 4,
        duplicate_window=120 * _SECOND,
    ),
    _stream(
        PLANS,
        f"{PLANS_PREFIX}.>",
        max_msgs_per_subject=1,
        max_bytes=_GIBIBYTE,
        allow_rollup_hdrs=True,
        deny_delete=True,
        allow_direct=True,
    ),
    _stream(
        GATEWAYS,
        f"{GATEWAYS_PREFIX}.>",
        max_msgs_per_subject=1,
        max_bytes=_GIBIBYTE,
        allow_rollup_hdrs=True,
        deny_delete=True,
    ),
)


async def provision_devices(client: Client) -> None:
    """The devices' account, by its steward."""
    await _ensure(client, _DOWNLINK)


async def provision_platform(client: Client) -> None:
    """The platform's account, by the controller."""
    for wanted in _PLATFORM:
        await _ensure(client, wanted)


def journal_stream(partition: str) -> str:
    return f"INGEST_{partition}"


async def provision_journal(client: Client, partition: str) -> None:
    """The journal of one ingest worker, by itself."""
    wanted = _stream(
        journal_stream(partition),
        f"{JOURNAL_PREFIX}.{partition}",
        max_bytes=2 * _GIBIBYTE,
        duplicate_window=120 * _SECOND,
    )
    await _ensure(client, wanted)


async def _ensure(client: Client, wanted: dict[str, Any]) -> None:
    name = wanted["name"]
    found = await _api(client, f"STREAM.INFO.{name}", {})
    if found.get("error", {}).get("err_code") == _STREAM_NOT_FOUND:
        answer = await _api(client, f"STREAM.CREATE.{name}", wanted)
    elif "error" not in found:
        held = found["config"]
        if all(held.get(key) == value for key, value in wanted.items()):
            return
        answer = await _api(client, f"STREAM.UPDATE.{name}", {**held, **wanted})
    else:
        answer = found
    if "error" in answer:
        raise Unavailable(
            f"The broker cannot keep the stream {name}: {answer['error'].get('description')}. See nats/server.log.",
            code="nats:stream:refused",
        )


async def _api(client: Client, what: str, body: dict[str, Any]) -> dict[str, Any]:
    try:
        answer = await client.request(f"$JS.API.{what}", json.dumps(body).encode(), timeout=API_SECONDS)
    except NATSError as error:
        raise Unavailable(
            f"The broker does not answer for its streams: {error or type(error).__name__}. See nats/server.log.",
            code="nats:unavailable",
        ) from error
    parsed: dict[str, Any] = json.loads(answer.data)
    return parsed
