"""The adapters of the parser process. numpy and numba are imported late: they start threads on some machines, and a
process with threads may not make a user namespace of its own."""

from typing import TYPE_CHECKING

from bastide.adapters.sandbox.lockdown import bound, lock_down, separate

if TYPE_CHECKING:
    from bastide.controller.workers.parser.live import Ring
    from bastide.network.traffic.devices import Vendor
    from bastide.ports.network import Capture

__all__ = ["bound", "lock_down", "open_captures", "open_ring", "read_descriptor", "separate", "vendors"]


def vendors() -> "Vendor":
    from bastide.adapters.oui.table import offline_vendors

    return offline_vendors()


def open_captures(named: list[tuple[str, int]]) -> "list[Capture]":
    from bastide.adapters.capture.files import CaptureFile

    return [CaptureFile(name, descriptor) for name, descriptor in named]


def open_ring(order: dict[str, int]) -> "Ring":
    """The ring behind a socket that somebody with the right to opened."""
    from bastide.adapters.capture.ring import Geometry, Ring

    return Ring(order["descriptor"], Geometry(order["blocks"], order["block_octets"], order["link"]))


def read_descriptor(descriptor: int) -> bytes:
    """All of an open file, at most what a fingerprint base may be long."""
    from bastide.adapters.capture.files import read_whole

    return read_whole(descriptor)
