"""How much a device asks for attention. The product orders work; it never decides standing.

Likelihood is 1 - the product of (1 - weight) over what was seen, so that each further sign adds less. Weights are
expert judgement, shown with each term; they claim no probability.
"""

from bastide.core.device import Device
from bastide.core.evidence import Trust
from bastide.core.posture import Freshness, Posture
from bastide.core.risk import Risk, Term
from bastide.core.standing import Standing

_LIKELIHOOD = {
    "identity.cloned": (0.9, "its credential was used in two places"),
    "broker.publish.denied": (0.6, "it published on topics that are not its own"),
    "broker.subscribe.denied": (0.6, "it subscribed to topics that are not its own"),
    "traffic.cleartext-credentials": (0.5, "credentials were seen in the clear"),
    "traffic.default-credentials": (0.6, "default credentials were tried"),
    "traffic.telnet": (0.4, "it speaks Telnet"),
    "ingest.rate": (0.3, "it sends far more than its kind does"),
    "ingest.payload": (0.2, "it sends messages that cannot be read"),
    "ingest.field": (0.15, "it sends data that its profile does not declare"),
}
_BASELINE = 0.05
_EXPOSURE = {
    Standing.TRUSTED: (0.8, "it may use all that its profile declares"),
    Standing.RESTRICTED: (0.4, "it may do only what its work cannot do without"),
    Standing.PENDING: (0.2, "it waits for a proof and may not connect"),
    Standing.QUARANTINED: (0.1, "it is cut off from everything but repair"),
    Standing.UNKNOWN: (1.0, "nothing limits it: it never proved who it is"),
    Standing.RETIRED: (0.05, "its credentials are gone"),
}


def assess(device: Device, posture: Posture, impact: float) -> Risk:
    """``impact`` is the device class's, 0 to 1."""
    terms = [Term("impact", impact, f"a compromised {device.device_class} costs that much")]
    exposure, why = _EXPOSURE[device.standing]
    terms.append(Term("exposure", exposure, why))
    spared = 1.0 - _BASELINE
    terms.append(Term("likelihood", _BASELINE, "any device may be attacked"))
    for kind, (weight, because) in _LIKELIHOOD.items():
        parts = [part for part in posture.matching(kind) if part.freshness is Freshness.FRESH]
        if not parts:
            continue
        forgeable = all(fact.trust is Trust.PASSIVE for part in parts for fact in part.evidence)
        counted = weight / 2 if forgeable else weight
        spared *= 1.0 - counted
        terms.append(
            Term("likelihood", counted, because + (" (seen on the wire, could be forged)" if forgeable else ""))
        )
    return Risk(device=device.id, impact=impact, exposure=exposure, likelihood=1.0 - spared, terms=tuple(terms))
