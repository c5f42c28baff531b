"""Scope: the devices that a person or token reaches. A scope is written as sites and classes; empty means all of them.

Narrowing is how a token is kept inside its owner's scope, and the one place where "empty means all" could turn "none"
into "all": two scopes with nothing in common narrow to None, never to an empty (boundless) one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from bastide.core.device import Device
from bastide.core.ids import DeviceClass, SiteName

_Name = TypeVar("_Name", bound=str)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which devices a person or token may see: empty means all."""

    sites: tuple[SiteName, ...] = ()
    classes: tuple[DeviceClass, ...] = ()

    @property
    def boundless(self) -> bool:
        """True where every device is in it, those of sites and classes yet to come too."""
        return not self.sites and not self.classes

    def covers(self, device: Device) -> bool:
        return self.holds(device.device_class, device.site)

    def holds(self, device_class: DeviceClass, site: SiteName) -> bool:
        """True where a device of this class at this site would be in it."""
        return (not self.sites or site in self.sites) and (not self.classes or device_class in self.classes)

    def within(self, outer: "Scope") -> bool:
        """True where nothing in this scope is outside ``outer``."""
        return _inside(self.sites, outer.sites) and _inside(self.classes, outer.classes)

    def narrowed(self, outer: "Scope") -> "Scope | None":
        """What is in both; None where nothing can be."""
        sites = _both(self.sites, outer.sites)
        classes = _both(self.classes, outer.classes)
        return None if sites is None or classes is None else Scope(sites=sites, classes=classes)


EVERYTHING = Scope()


def _inside(inner: Sequence[_Name], outer: Sequence[_Name]) -> bool:
    return not outer or (bool(inner) and set(inner) <= set(outer))


def _both(one: tuple[_Name, ...], other: tuple[_Name, ...]) -> tuple[_Name, ...] | None:
    if not one or not other:
        return one or other
    shared = tuple(name for name in one if name in other)
    return shared or None
