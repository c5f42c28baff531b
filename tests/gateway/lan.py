"""A gateway with a routed port for each device, and an internet behind it: namespaces, veth and sockets."""

import contextlib
import select
import socket
import time
from collections.abc import Callable, Collection
from typing import Any

from bastide.adapters.namespaces.namespace import Namespace
from bastide.adapters.nftables.kernel import KernelFilter

HOSTS = ("198.51.100.1", "198.51.100.2", "198.51.100.3", "192.0.2.10", "192.0.2.11")
PATIENCE_S, SHORT_S = 3.0, 0.15


class There:
    """The kernel's filter of a namespace, from whichever thread."""

    def __init__(self, where: Namespace) -> None:
        self._where = where
        self._kernel = where.run(KernelFilter)
        self.loaded: list[str] = []

    def load(self, text: str) -> None:
        self._where.run(lambda: self._kernel.load(text))
        self.loaded.append(text)

    def listing(self, family: str, table: str, *, elements: bool = True) -> list[dict[str, Any]]:
        return self._where.run(lambda: self._kernel.listing(family, table, elements=elements))

    def rules_generation(self) -> int:
        return self._where.run(self._kernel.rules_generation)

    def forget_connections(self, addresses: Collection[bytes]) -> int:
        return self._where.run(lambda: self._kernel.forget_connections(addresses))


class Lan:
    """``devices[i]`` is 10.50.i.2 and fd50:i+1::2 on the gateway's port ``lan<i>``; the internet has :data:`HOSTS`."""

    def __init__(self, devices: int) -> None:
        self.open: list[Namespace] = []
        self.gateway = self._made("gateway")
        self.devices = [self._made(f"device{i}") for i in range(devices)]
        self.internet = self._made("internet")
        for i, device in enumerate(self.devices):
            self._join(f"lan{i}", device, f"10.50.{i}", f"fd50:{i + 1}:")
            device.command(["ip", "link", "set", "eth0", "address", mac(i)])
        self._join("wan", self.internet, "203.0.113", "fd51:1:")
        self.gateway.command(["ip", "route", "add", "default", "via", "203.0.113.2"])
        for host in HOSTS:
            self.internet.command(["ip", "addr", "add", f"{host}/32", "dev", "lo"])
        for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            self.gateway.set(name, 1)

    def __enter__(self) -> "Lan":
        return self

    def __exit__(self, *_: object) -> None:
        while self.open:
            self.open.pop().close()

    def until(self, holds: Callable[[], bool]) -> None:
        """Waits for what the kernel does by itself; fails where it does not."""
        end = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < end
            time.sleep(0.01)

    def kernel(self) -> There:
        return There(self.gateway)

    def udp(
        self, source: Namespace, target: Namespace, to: str, port: int = 443, *, of: str = "", expected: bool = True
    ) -> bool:
        """Whether a datagram arrives."""
        family = socket.AF_INET6 if ":" in to else socket.AF_INET
        receiver = target.run(lambda: socket.socket(family, socket.SOCK_DGRAM))
        sender = source.run(lambda: socket.socket(family, socket.SOCK_DGRAM))
        with receiver, sender:
            receiver.bind((to, port))
            if of:
                sender.bind((of, 0))
            with contextlib.suppress(OSError):
                sender.sendto(b"x", (to, port))
            return bool(select.select([receiver], [], [], PATIENCE_S if expected else SHORT_S)[0])

    def tcp(self, source: Namespace, target: Namespace, to: str, port: int = 443) -> "Connection":
        """An open connection."""
        listener = target.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        client = source.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((to, port))
        listener.listen()
        client.settimeout(PATIENCE_S)
        client.connect((to, port))
        server, _ = listener.accept()
        listener.close()
        return Connection(client, server)

    def _made(self, name: str) -> Namespace:
        made = Namespace(name)
        self.open.append(made)
        for one in ("all", "default"):
            made.set(f"net.ipv6.conf.{one}.accept_dad", 0)
            made.set(f"net.ipv4.conf.{one}.rp_filter", 0)
        return made

    def _join(self, inner: str, other: Namespace, v4: str, v6: str) -> None:
        self.gateway.command(["ip", "link", "add", inner, "type", "veth", "peer", "name", "up0"])
        self.gateway.command(["ip", "link", "set", "up0", "netns", str(other.tid)])
        other.command(["ip", "link", "set", "up0", "name", "eth0"])
        for where, name, last in ((self.gateway, inner, 1), (other, "eth0", 2)):
            where.command(["ip", "addr", "add", f"{v4}.{last}/24", "dev", name])
            where.command(["ip", "addr", "add", f"{v6}:{last}/64", "dev", name, "nodad"])
            where.command(["ip", "link", "set", name, "up"])
        other.command(["ip", "route", "add", "default", "via", f"{v4}.1"])
        other.command(["ip", "-6", "route", "add", "default", "via", f"{v6}:1"])


class Connection:
    """Both ends of a TCP connection."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server

    def carries(self, *, expected: bool = True) -> bool:
        """Whether what the client sends arrives."""
        with contextlib.suppress(OSError):
            self.client.send(b"x")
        if not select.select([self.server], [], [], PATIENCE_S if expected else SHORT_S)[0]:
            return False
        return bool(self.server.recv(4096))

    def answers(self) -> bool:
        """Whether what the server sends arrives."""
        with contextlib.suppress(OSError):
            self.server.send(b"y")
        return bool(select.select([self.client], [], [], SHORT_S)[0])

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.server.close()


def mac(i: int) -> str:
    return f"02:ba:57:1d:e0:{i + 0x10:02x}"
