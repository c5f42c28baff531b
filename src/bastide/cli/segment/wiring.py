"""The kernel's namespaces and nftables, for ``bastide segment``."""

import asyncio
import os

from bastide.core.error import Unavailable
from bastide.flows.prove_segmentation import Proof, prove
from bastide.network.profile.mud.words import MUDFile


def prove_here(profile: MUDFile) -> Proof:
    """The proof on this machine's kernel, in namespaces of its own."""
    from bastide.adapters.namespaces.rig import Rig
    from bastide.adapters.nftables import NFT

    if os.geteuid() != 0:
        raise Unavailable(
            "A proof makes network namespaces and loads rules in them: run it as root (sudo bastide segment prove ...).",
            code="segmentation:namespaces:unavailable",
        )
    return asyncio.run(prove(profile, Rig, lambda made: NFT(made.command)))
