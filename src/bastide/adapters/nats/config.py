"""nats-server's configuration: two TLS listeners, three accounts, and no way in without a key.

- MQTT demands a client certificate of the fleet's CA; who that is and what it may do is asked of the controller
  (auth callout). The platform's own clients prove an nkey over TLS that begins with the first byte.
- ``SYS`` kicks and counts; ``BASTIDE`` holds journal, evidence, plans and what ingest republishes; ``DEVICES`` holds devices.
- In ``DEVICES`` the mapping ``devices.> -> up.>`` takes whatever a client publishes away from where devices listen.
- ``sync_interval: always``: an acknowledged write is on the disk. The ingest journal makes that cheap (ADR 0001).
- Time-outs allow 5,000 devices to reconnect at once on a small machine.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bastide.adapters.nats.seeds import Part

PLATFORM, DEVICES, SYSTEM = "BASTIDE", "DEVICES", "SYS"
# A TLS handshake with a client certificate costs about a millisecond of processor, an auth callout about as much: all of
# 5,000 devices fit three times over.
HANDSHAKE_SECONDS = 60
AUTH_SECONDS = 30
MAX_CONNECTIONS = 65_536
# Larger than any profile's payload limit (1 MiB) with its headers; a batch of the journal fits too.
MAX_PAYLOAD_BYTES = 8 * 1024 * 1024

# More than our streams may ever hold together. The server's own answer would be three quarters of the disk that is free at its
# start, and it refuses streams whose bounds do not fit: on a small disk nothing would come up, although little is stored.
STORE_BYTES = 64 * 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Listener:
    """Where to listen: an IP address or host, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """All that the server needs to be told. Certificates are PEM files: chain first, and the key."""

    name: str
    clients: Listener
    mqtt: Listener
    certificate: Path
    key: Path
    device_authorities: Path
    store: Path
    log: Path
    pid: Path
    issuer: str
    keys: Mapping[Part, str]
    gateways: Mapping[str, str] = field(default_factory=dict)
    """The public nkey of each gateway, by its device id."""
    store_bytes: int = STORE_BYTES


def render(config: ServerConfig) -> str:
    """The configuration file's text."""
    keys = config.keys
    tls = f"""cert_file: {_q(config.certificate)}
    key_file: {_q(config.key)}
    timeout: {HANDSHAKE_SECONDS}
    min_version: "1.2\""""
    bypass = ", ".join(_q(key) for key in (*(keys[part] for part in Part), *config.gateways.values()))
    gateways = "".join(_gateway(device, key) for device, key in sorted(config.gateways.items()))
    return f"""# Written by Bastide at each start; changes made here are lost.
server_name: {_q(config.name)}
listen: {_q(str(config.clients))}
pid_file: {_q(config.pid)}
log_file: {_q(config.log)}
log_size_limit: 16777216
logfile_max_num: 3
max_connections: {MAX_CONNECTIONS}
max_payload: {MAX_PAYLOAD_BYTES}
max_control_line: 8192
lame_duck_duration: "30s"
lame_duck_grace_period: "1s"
tls {{
    {tls}
    handshake_first: true
}}
jetstream {{
  store_dir: {_q(config.store)}
  sync_interval: always
  # Nothing is kept in memory streams; the server's own answer would be three quarters of the machine's memory.
  max_memory_store: 67108864
  max_file_store: {config.store_bytes}
}}
mqtt {{
  listen: {_q(str(config.mqtt))}
  max_ack_pending: 1024
  tls {{
    {tls}
    ca_file: {_q(config.device_authorities)}
    verify: true
  }}
}}
accounts {{
  {SYSTEM} {{
    users: [ {{ nkey: {keys[Part.SYSTEM]} }} ]
  }}
  {PLATFORM} {{
    jetstream: enabled
    users: [
      {{ nkey: {keys[Part.CONTROLLER]} }}
      {{ nkey: {keys[Part.INGEST]}, permissions: {{
          publish: [ "telemetry.>", "journal.>", "evidence.>", "seen.>", "$JS.API.>", "$JS.ACK.>", "_R_.>" ]
          subscribe: [ "_INBOX.>", "ingest.>" ]
          allow_responses: true
      }} }}
{gateways}    ]
  }}
  {DEVICES} {{
    jetstream: enabled
    mappings: {{ "devices.>": "up.>" }}
    users: [
      {{ nkey: {keys[Part.STEWARD]}, permissions: {{
          publish: [ "$JS.API.>" ]
          subscribe: [ "_INBOX.>" ]
      }} }}
      {{ nkey: {keys[Part.UPLINK]}, permissions: {{
          publish: [ "$MQTT.JSA.>" ]
          subscribe: [ "up.>", "$MQTT.msgs.up.>" ]
      }} }}
    ]
  }}
}}
system_account: {SYSTEM}
authorization {{
  timeout: {AUTH_SECONDS}
  auth_callout {{
    issuer: {config.issuer}
    account: {PLATFORM}
    auth_users: [ {bypass} ]
  }}
}}
"""


def _gateway(device: str, key: str) -> str:
    """A gateway reads its own items and says what it applied and saw; it reaches nothing of another."""
    items = f"$JS.API.CONSUMER.CREATE.KV_gateways.*.$KV.gateways.{device}.>"
    return f"""      {{ nkey: {key}, permissions: {{
          publish: [ {_q(items)}, {_q(f"gateway.{device}.>")} ]
          subscribe: [ {_q(f"_INBOX_{device}.>")} ]
      }} }}
"""


def _q(value: Path | str) -> str:
    return json.dumps(str(value))
