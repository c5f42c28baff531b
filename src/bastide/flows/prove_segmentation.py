"""Proves that compiled rules do what a profile says: probes are sent through them, and what arrives is compared."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from bastide.network.profile.mud.words import MUDFile
from bastide.network.segmentation.compile import TABLE, compile_site
from bastide.network.segmentation.proof.probes import DEVICE, Probe, Trial, derive
from bastide.network.segmentation.ruleset import as_text
from bastide.network.segmentation.site import Assignment
from bastide.ports.network import Firewall, ProvingGround


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A probe that fared otherwise than the profile says."""

    probe: Probe
    arrived: bool


@dataclass(frozen=True, slots=True)
class Proof:
    """``allowed`` and ``denied`` count probes that agree. ``dropped_packets`` is what the rules counted."""

    trial: Trial
    allowed: int
    denied: int
    disagreements: tuple[Disagreement, ...]
    dropped_packets: int

    @property
    def holds(self) -> bool:
        return not self.disagreements


async def prove(
    profile: MUDFile,
    ground: Callable[[Sequence[Probe]], ProvingGround],
    firewall: Callable[[ProvingGround], Firewall],
    change: Callable[[str], str] = lambda rules: rules,
) -> Proof:
    """Derives probes, compiles, loads and sends. ``change`` may spoil the rules, to see that a proof can fail."""
    trial = derive(profile)
    rules = change(as_text(compile_site([Assignment(profile, (DEVICE,))], trial.site).ruleset))
    with closing(ground(trial.probes)) as made:
        gateway = firewall(made)
        gateway.load(rules)
        arrived = await made.send(trial.probes)
        dropped = gateway.dropped(TABLE)
    wrong = [one for one in trial.probes if one.allowed is not (one.number in arrived)]
    wanted = sum(one.allowed for one in trial.probes)
    lost = sum(one.allowed for one in wrong)
    return Proof(
        trial,
        wanted - lost,
        len(trial.probes) - wanted - (len(wrong) - lost),
        tuple(Disagreement(one, one.number in arrived) for one in wrong),
        dropped,
    )
