"""Rollouts, devices' parts in them, and what devices last said runs on them."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bastide.core.audit import Personal
from bastide.core.ids import DeviceId
from bastide.device.release.release import Release
from bastide.device.release.report import Report
from bastide.operations.rollout.abort import Cohort
from bastide.operations.rollout.rollout import Part, PartState, Phase, RingCount, Rollout, RolloutId, Target
from bastide.ports.platform.units import DeviceWrites, LedgerWrites


@dataclass(frozen=True, slots=True)
class Running:
    """What a device said runs on it, and when. Its ``report`` has no attempt."""

    device: DeviceId
    report: Report
    reported_at: datetime


class Releases(Protocol):
    """The platform's own repository of releases."""

    def published(self) -> Sequence[Release]:
        """What is published and not withdrawn; none where there is no repository. ``Unavailable`` where it cannot be read."""
        ...


class RolloutReads(Protocol):
    async def get(self, id: RolloutId) -> Rollout:
        """``NotFound`` where there is none."""
        ...

    async def list(self, phases: Sequence[Phase], limit: int, before: str = "") -> Sequence[Rollout]:
        """Newest first; of any phase where none is named. ``before`` is the id that the last page ended with."""
        ...

    async def part(self, rollout: RolloutId, device: DeviceId) -> Part | None: ...

    async def parts_of(self, device: DeviceId, limit: int) -> Sequence[Part]:
        """A device's parts, the newest first."""
        ...

    async def parts(self, rollout: RolloutId, state: PartState | None, limit: int, after: str = "") -> Sequence[Part]:
        """By device; ``after`` is the device that the last page ended with."""
        ...

    async def cohorts(self, rollout: RolloutId, after: datetime | None) -> Sequence[tuple[datetime, Cohort]]:
        """Cohorts in their order, those after that one."""
        ...

    async def rings(self, rollout: RolloutId) -> Sequence[RingCount]:
        """By ring, those in which somebody began."""
        ...

    async def began_in(self, rollout: RolloutId, ring: int) -> int: ...

    async def silent(self, rollout: RolloutId, now: datetime, limit: int) -> Sequence[Part]:
        """Parts that began and whose deadline has gone."""
        ...

    async def running(self, device: DeviceId) -> Running | None:
        """What runs on a device; None where it never said so."""
        ...

    async def images(self) -> Mapping[str, int]:
        """How many devices run each image, by its SHA-256; those on trial are not counted."""
        ...

    async def fleet(self, target: Target, limit: int, after: str = "") -> Sequence[tuple[DeviceId, Running | None]]:
        """The devices that a target holds and that are not retired, by id; ``after`` is the id that the last page ended with."""
        ...

    async def began(self, rollout: RolloutId, devices: Sequence[DeviceId]) -> Mapping[DeviceId, PartState]:
        """Of these devices those that have a part."""
        ...


class RolloutWrites(Protocol):
    def add(self, rollout: Rollout) -> None: ...

    def put(self, rollout: Rollout) -> None:
        """Conflict unless the stored number is ``rollout.number``; the stored one becomes one higher."""
        ...

    def begin(self, part: Part) -> None:
        """A device's first or further try. Conflict unless the rollout runs, its ring has the turn, and the device is not at it
        already, or done."""
        ...

    def answer(self, part: Part) -> None:
        """How it ended. Conflict unless it had begun."""
        ...

    def says(self, running: Running) -> None:
        """What runs on a device now."""
        ...


class RolloutUnitOfWork(Protocol):
    """A unit of work as rollouts use it."""

    @property
    def rollouts(self) -> RolloutWrites: ...
    @property
    def devices(self) -> DeviceWrites: ...
    @property
    def ledger(self) -> LedgerWrites: ...


class RolloutUnitsOfWork(Protocol):
    def __call__(self, actor: str | Personal) -> AbstractAsyncContextManager[RolloutUnitOfWork]: ...
