"""MQTT 3.1.1 over mutual TLS as a device speaks it, on paho: last will, QoS 1, reconnecting with back-off."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from bastide.testing.fleet.identity import Identity

KEEPALIVE_S = 30
LONGEST_BACK_OFF_S = 15
# What a small device can hold while the broker is away; older reports are lost, as they are on the real thing.
QUEUED = 50


class Session:
    """One device's connection. Callbacks run on the session's own thread; ``on_change(up, why)`` tells of each change."""

    def __init__(
        self, identity: Identity, host: str, port: int, *, on_change: Callable[[bool, str], None] | None = None
    ) -> None:
        self.device = identity.device
        self.connected = threading.Event()
        self.lost = threading.Event()
        self.lost_at: float | None = None
        self.acknowledged = 0
        self.refused_connects = 0
        self.received: list[tuple[str, bytes]] = []
        self.granted: dict[str, bool] = {}
        self._address = (host, port)
        self._on_change = on_change
        self._asking = threading.Lock()
        self._asked: dict[int, str] = {}
        self._answered: dict[int, bool] = {}
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=identity.device, protocol=paho.MQTTv311)
        context = ssl.create_default_context(cafile=str(identity.trust))
        context.load_cert_chain(identity.certificate, identity.key)
        self._client.tls_set_context(context)
        self._client.max_queued_messages_set(QUEUED)
        self._client.reconnect_delay_set(1, LONGEST_BACK_OFF_S)
        self._client.will_set(self.topic("status"), json.dumps({"online": False}), qos=1)
        self._client.on_connect = self._connected
        self._client.on_connect_fail = self._failed
        self._client.on_disconnect = self._disconnected
        self._client.on_subscribe = self._subscribed
        self._client.on_publish = self._published
        self._client.on_message = self._message

    def topic(self, channel: str) -> str:
        return f"devices/{self.device}/{channel}"

    def start(self) -> None:
        """Connects, now and whenever the connection is lost, until :meth:`stop`."""
        self._client.connect_async(*self._address, keepalive=KEEPALIVE_S)
        self._client.loop_start()

    def stop(self) -> None:
        """Says goodbye (so that no last will is published) and ends."""
        self._client.disconnect()
        self._client.loop_stop()

    def vanish(self) -> None:
        """Drops the connection without a goodbye, as an empty battery does; the session then tries again by itself."""
        transport = self._client.socket()
        if isinstance(transport, socket.socket):
            with suppress(OSError):
                transport.shutdown(socket.SHUT_RDWR)

    def publish(self, topic: str, fields: Mapping[str, Any]) -> None:
        """Sends one payload with QoS 1; drops it where too many wait already."""
        self._client.publish(topic, json.dumps(fields, separators=(",", ":")), qos=1)

    def subscribe(self, topic: str) -> None:
        """Asks for a topic; ``granted[topic]`` tells the broker's answer when it is there."""
        result, mid = self._client.subscribe(topic, qos=1)
        if result == paho.MQTT_ERR_SUCCESS and mid is not None:
            with self._asking:
                self._asked[mid] = topic
                self._settle(mid)

    def _connected(self, client: paho.Client, userdata: Any, flags: Any, code: ReasonCode, properties: Any) -> None:
        if code.is_failure:
            self.refused_connects += 1
            self._changed(False, str(code))
            return
        self.lost.clear()
        self.connected.set()
        self.subscribe(self.topic("commands"))
        self._changed(True, "connected")

    def _failed(self, client: paho.Client, userdata: Any) -> None:
        self.refused_connects += 1

    def _disconnected(self, client: paho.Client, userdata: Any, flags: Any, code: ReasonCode, properties: Any) -> None:
        if self.connected.is_set():
            self.lost_at = time.monotonic()
            self.connected.clear()
            self.lost.set()
            self._changed(False, str(code))
        else:
            self.refused_connects += 1

    def _subscribed(
        self, client: paho.Client, userdata: Any, mid: int, codes: list[ReasonCode], properties: Any
    ) -> None:
        with self._asking:
            self._answered[mid] = bool(codes) and not codes[0].is_failure
            self._settle(mid)

    def _settle(self, mid: int) -> None:
        """The answer may be here before it is noted what was asked: they meet on two threads."""
        if mid in self._asked and mid in self._answered:
            self.granted[self._asked.pop(mid)] = self._answered.pop(mid)

    def _published(self, client: paho.Client, userdata: Any, mid: int, code: Any, properties: Any) -> None:
        self.acknowledged += 1

    def _message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        if len(self.received) < 1000:
            self.received.append((message.topic, bytes(message.payload)))

    def _changed(self, up: bool, why: str) -> None:
        if self._on_change is not None:
            self._on_change(up, why)
