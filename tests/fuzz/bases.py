"""Fingerprint bases and lists of makers that others maintain."""

from bastide.network.traffic.identity.recog import Recog
from bastide.network.traffic.oui import read_prefixes
from tests.fuzz import Target


def _recog(data: bytes) -> object:
    made = Recog({})
    made.add(data)
    return made.recognise([("server", "SSH-2.0-dropbear_2012.55"), ("server", "Boa/0.94.13")])


_SEED = (
    b'<fingerprints matches="ssh.banner"><fingerprint pattern="^dropbear_(.+)$">'
    b'<param pos="1" name="service.version"/></fingerprint></fingerprints>'
)
TARGETS = [
    Target(
        "recog",
        _recog,
        (_SEED,),
    ),
    Target(
        "oui-list",
        read_prefixes,
        (
            b"00-17-88   (hex)\t\tPhilips\n",
            b"Registry,Assignment,Organization Name\nMA-L,001788,P\n",
            b"00:17:88/24\tP\tQ\n",
        ),
    ),
]
