"""The packet filter of the network namespace that this process is in, as flows.on_gateway.keep_rules wants it."""

from bastide.adapters.nftables.handle import Handle
from bastide.adapters.nftables.netlink import Netfilter


class KernelFilter(Handle, Netfilter):
    """Implements flows.on_gateway.keep_rules.Kernel."""

    def __init__(self) -> None:
        Handle.__init__(self)
        Netfilter.__init__(self)
