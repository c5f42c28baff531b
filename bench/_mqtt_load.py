"""A raw MQTT load: prebuilt PUBLISH bytes over TLS sockets, PUBACKs counted. One thread, no client library.

Each connection keeps one window of QoS 1 messages in flight: it sends a window in one write and the next one when the last
PUBACK of the window came. Runs as its own process, so that it can be measured and does not disturb what it measures:

    python bench/_mqtt_load.py PORT CA.pem DEVICES.json SECONDS WINDOW

``DEVICES.json`` lists [device, certificate, key]. Prints one JSON line a second, and a last one with the totals.
"""

import json
import selectors
import socket
import ssl
import struct
import sys
import time
from dataclasses import dataclass

# Distinct windows per connection, so that neighbouring messages differ as they do in life.
WINDOWS = 8
PUBACK_BYTES = 4


def packet(kind: int, body: bytes) -> bytes:
    length, head = len(body), bytearray([kind])
    while True:
        length, digit = divmod(length, 128)
        head.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(head) + body


def text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">H", len(encoded)) + encoded


def connect_packet(client: str, keep_alive: int = 600) -> bytes:
    """CONNECT of MQTT 3.1.1, clean session, no user name: who it is says the certificate."""
    return packet(0x10, text("MQTT") + bytes([4, 2]) + struct.pack(">H", keep_alive) + text(client))


def publish_packet(topic: str, packet_id: int, payload: bytes) -> bytes:
    return packet(0x32, text(topic) + struct.pack(">H", packet_id) + payload)


@dataclass(slots=True)
class Connection:
    socket: ssl.SSLSocket
    windows: list[bytes]
    turn: int = 0
    owed: int = 0
    sent_at: float = 0.0


def open_socket(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    raw = socket.create_connection(("127.0.0.1", port), timeout=60)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(raw, server_hostname="localhost")


def client_context(authority: str, certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority)
    context.load_cert_chain(certificate, key)
    return context


def payload(device: int, turn: int, index: int) -> bytes:
    number = device * 7919 + turn * 613 + index * 31
    return (
        f'{{"temperature":{18 + number % 90 / 10:.1f},"humidity":{40 + number % 271 / 10:.1f},'
        f'"battery":{number % 101}}}'
    ).encode()


def main(port: int, authority: str, devices_file: str, seconds: float, window: int) -> None:
    with open(devices_file) as file:
        devices = json.load(file)
    selector = selectors.DefaultSelector()
    connections: list[Connection] = []
    for number, (device, certificate, key) in enumerate(devices):
        opened = open_socket(port, client_context(authority, certificate, key))
        opened.sendall(connect_packet(device))
        if opened.recv(4) != b"\x20\x02\x00\x00":
            raise SystemExit(f"{device} was refused")
        topic = f"devices/{device}/telemetry"
        windows = [
            b"".join(publish_packet(topic, index + 1, payload(number, turn, index)) for index in range(window))
            for turn in range(WINDOWS)
        ]
        connection = Connection(opened, windows)
        opened.settimeout(30)
        selector.register(opened, selectors.EVENT_READ, connection)
        connections.append(connection)

    latencies: list[float] = []
    began = last = time.monotonic()
    cpu = time.process_time()
    acknowledged = at_last = 0

    def send(connection: Connection, now: float) -> None:
        connection.socket.sendall(connection.windows[connection.turn % WINDOWS])
        connection.turn += 1
        connection.owed += window * PUBACK_BYTES
        connection.sent_at = now

    for connection in connections:
        send(connection, began)
    open_windows = len(connections)
    while open_windows:
        for key, _ in selector.select(10.0):
            connection = key.data
            data = connection.socket.recv(65536)
            if not data:
                raise SystemExit("the broker ended a connection")
            connection.owed -= len(data)
            acknowledged += len(data) // PUBACK_BYTES
            if connection.owed <= 0:
                now = time.monotonic()
                latencies.append(now - connection.sent_at)
                if now - began < seconds:
                    send(connection, now)
                else:
                    open_windows -= 1
        now = time.monotonic()
        if now - last >= 1.0:
            print(json.dumps({"rate": (acknowledged - at_last) / (now - last)}), flush=True)
            last, at_last = now, acknowledged
    elapsed = time.monotonic() - began
    for connection in connections:
        connection.socket.sendall(b"\xe0\x00")
        connection.socket.close()
    latencies.sort()
    total = {
        "acknowledged": acknowledged,
        "seconds": elapsed,
        "cpu": time.process_time() - cpu,
        "p50": latencies[len(latencies) // 2],
        "p99": latencies[int(len(latencies) * 0.99)],
    }
    print(json.dumps(total), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4]), int(sys.argv[5]))
