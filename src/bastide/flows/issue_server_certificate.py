"""A TLS certificate for one of Bastide's own listeners: intent, signature and result in the ledger, as for a device's.

The key is made by whoever serves with it and never leaves; only the request comes here.
"""

from collections.abc import Sequence

from cryptography import x509

from bastide.core.ids import RequestId
from bastide.device.identity.certificate import fingerprint
from bastide.device.identity.request import accept_request
from bastide.ports.clock import Ids
from bastide.ports.keys import Signer
from bastide.ports.platform.credentials import CredentialUnitsOfWork
from bastide.ports.platform.ledger import Ledger

ACTOR = "system:servers"


async def issue_server_certificate(
    csr: bytes,
    names: Sequence[str],
    *,
    purpose: str,
    units: CredentialUnitsOfWork,
    ledger: Ledger,
    signer: Signer,
    ids: Ids,
) -> bytes:
    """The certificate (DER) over the request's key for the names. ``purpose`` is what serves with it (``console``)."""
    request = accept_request(csr)
    request_id = RequestId(f"server:{ids.mint('q')}")
    subject = f"server:{purpose}"
    async with units(ACTOR) as work:
        record = work.ledger.record(
            "signing:server:intended",
            subject,
            {"request": request_id, "names": list(names), "key": request.key_digest.hex()},
        )
    await ledger.integrated(record)
    der = await signer.server_certificate(request_id, csr=csr, names=names)
    certificate = x509.load_der_x509_certificate(der)
    async with units(ACTOR) as work:
        work.ledger.record(
            "signing:server:issued",
            subject,
            {
                "request": request_id,
                "serial": f"{certificate.serial_number:x}",
                "fingerprint": fingerprint(der),
                "not_after": certificate.not_valid_after_utc.isoformat(),
            },
        )
    return der
