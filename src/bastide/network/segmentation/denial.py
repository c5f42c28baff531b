"""A gateway's report that it denied a flow, as evidence: who reads it back gets the flow as people rule about it."""

from bastide.core.evidence import Evidence
from bastide.network.profile.amend import PROTOCOLS, Flow
from bastide.network.profile.mud.words import Side

DENIED = "network.flow.denied"
_TRANSPORTS = {number: name for name, number in PROTOCOLS.items()}


def denied_flow(fact: Evidence) -> Flow | None:
    """The flow that was denied; None where it is of no transport that a profile speaks of."""
    protocol, port = fact.body.get("protocol"), fact.body.get("port")
    transport = _TRANSPORTS.get(protocol) if isinstance(protocol, int) else None
    peer = fact.body.get("peer")
    if transport is None or not isinstance(peer, str) or not peer:
        return None
    out = fact.body.get("side") != Side.TO_DEVICE.value
    return Flow(peer, "", transport, port if isinstance(port, int) else 0, out)
