"""Enrolling a device from the console: where it enrols, the claims that there are, and commands that work as they stand."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bastide.controller.console.views.reader import Reader
from bastide.device.credential.admission import EnrolmentRequest
from bastide.device.credential.claim import Claim
from bastide.flows.admissions import AdmittingPeople
from bastide.flows.claims import Claiming, NewClaim

CLAIMS = 50


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What the room needs: ``est_url`` ends in ``/.well-known/est``, ``mqtt`` is host and port, ``trust`` the folder with
    ``root.pem`` and ``issuing.pem`` on this machine."""

    admitting: AdmittingPeople
    est_url: str
    mqtt: tuple[str, int]
    trust: str

    @property
    def claiming(self) -> Claiming:
        return self.admitting.claiming


@dataclass(frozen=True, slots=True)
class Listed:
    """A claim, its state now, and who made it in words."""

    claim: Claim
    state: str
    by: str


@dataclass(frozen=True, slots=True)
class Way:
    """One way to enrol, as steps that can be pasted one after the other."""

    key: str
    title: str
    commands: str


async def claims(enrolment: Enrolment, reader: Reader, now: datetime) -> tuple[Listed, ...]:
    """The newest claims within the reader's scope."""
    found = await enrolment.claiming.reads.claims(CLAIMS)
    return tuple(
        [
            Listed(claim, claim.standing_at(now), await reader.actor(claim.created_by))
            for claim in found
            if reader.scope.holds(claim.device_class, claim.site)
        ]
    )


async def waiting(enrolment: Enrolment, reader: Reader, now: datetime) -> Sequence[EnrolmentRequest]:
    """Devices that asked and wait for a person, the longest first, within the reader's scope."""
    found = await enrolment.admitting.reads.requests(CLAIMS, waiting=now)
    return [one for one in found if reader.scope.holds(one.device_class, one.site)]


def ways(enrolment: Enrolment, made: NewClaim) -> Sequence[Way]:
    """The commands for a new claim: curl with openssl, and strongSwan's pki. Both ask for nothing of ours."""
    base = enrolment.est_url.partition("/.well-known")[0]
    root, issuing = f"{enrolment.trust}/root.pem", f"{enrolment.trust}/issuing.pem"
    user, secret = made.claim.id, made.secret
    host, port = enrolment.mqtt
    curl = f"""\
openssl ecparam -name prime256v1 -genkey -noout -out device.key
openssl req -new -key device.key -subj "/CN=new device" -outform DER \\
  | openssl base64 > device.csr
curl -sS --fail-with-body --cacert {root} \\
  -u {user}:{secret} \\
  -H "Content-Type: application/pkcs10" --data-binary @device.csr \\
  {enrolment.est_url}/simpleenroll \\
  | openssl base64 -d -A \\
  | openssl pkcs7 -inform DER -print_certs -out device.pem"""
    pki = f"""\
pki --gen --type ecdsa --size 256 --outform pem > device.key
pki --req --type ecdsa --in device.key --dn "CN=new device" > device.csr
pki --est --url {base} --in device.csr \\
  --cacert {root} --cacert {issuing} \\
  --userpass {user}:{secret} --outform pem > device.pem"""
    talk = f"""\
DEVICE=$(openssl x509 -in device.pem -noout -subject -nameopt multiline \\
  | sed -n 's/ *commonName *= //p')
mosquitto_pub -h {host} -p {port} --cafile {root} \\
  --cert device.pem --key device.key -V mqttv311 -q 1 \\
  -t "devices/$DEVICE/telemetry" -m '{{"temperature": 21.5}}'"""
    return (
        Way("curl", "curl and openssl", curl),
        Way("strongswan", "strongSwan pki", pki),
        Way("mosquitto", "Then talk over MQTT", talk),
    )
