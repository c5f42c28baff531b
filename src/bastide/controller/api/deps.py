"""What the API is made with: ports and flows, no adapter. ``controller/wiring.py`` fills it in."""

from dataclasses import dataclass

from bastide.flows.sign_in import Door
from bastide.ports.clock import Clock, Ids
from bastide.ports.platform.ledger import Ledger
from bastide.ports.platform.samples import Samples
from bastide.ports.platform.stores import Stores
from bastide.ports.platform.units import UnitsOfWork


@dataclass(frozen=True, slots=True)
class Deps:
    stores: Stores
    units: UnitsOfWork
    ledger: Ledger
    samples: Samples
    door: Door
    clock: Clock
    ids: Ids
