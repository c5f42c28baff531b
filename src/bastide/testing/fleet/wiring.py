"""The EST client that the simulated fleet uses: the agent's own."""

from bastide.adapters.est.client import Claim, Endpoint, enrol, renew

__all__ = ["Claim", "Endpoint", "enrol", "renew"]
