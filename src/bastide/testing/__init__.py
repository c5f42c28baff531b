"""Public: in-memory ports that behave, a fake clock, a simulated fleet.

The fakes are not mocks: each keeps the promises of the port that it stands in for, and breaks where the real one breaks
(``Conflict`` on a stale version, all or nothing in a unit of work, ``Refused`` for what a signing profile does not
allow). One test suite, ``tests/ports``, runs over the fake and the real adapter, so the two cannot drift apart.

    clock, ids = FakeClock(), SequentialIds()
    state = MemoryState(clock, ids)
    async with state.units("operator:ada") as work:
        work.devices.add(a_device())
"""

from bastide.testing.clock import FakeClock, SequentialIds
from bastide.testing.enforcer import MemoryEnforcer
from bastide.testing.samples import MemorySamples
from bastide.testing.signer import MemorySigner
from bastide.testing.state import MemoryState

__all__ = ["FakeClock", "MemoryEnforcer", "MemorySamples", "MemorySigner", "MemoryState", "SequentialIds"]
