"""The packet filter of the network namespace that this process is in, as flows.on_gateway.keep_rules wants it."""

from collections.abc import Collection

from bastide.adapters.nftables.handle import Handle
from bastide.adapters.nftables.netlink import forget_connections, rules_generation


class KernelFilter(Handle):
    """Implements flows.on_gateway.keep_rules.Kernel."""

    def rules_generation(self) -> int:
        return rules_generation()

    def forget_connections(self, addresses: Collection[bytes]) -> int:
        return forget_connections(addresses)
