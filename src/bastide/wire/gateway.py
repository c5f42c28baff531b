"""What a controller tells a gateway: signed items, each the newest word on one thing, in any order.

An item is the MessagePack array ``[1, statement, signature, content]``. The statement is a JSON object in canonical form
that names the gateway (``device``), the thing (``key``), its ``generation`` and the SHA-256 of the content; the signature
is the signer's plan key's (Ed25519) over the statement. Keys:

- ``frame``: what all devices share (:class:`FrameForm`); ``mud/<name>``: a MUD file as it is
- ``device/<device id>``: one device (:class:`MemberForm`); ``allow/<name>``: one exception (:class:`AllowanceForm`)

Empty content takes the thing away. An item is good for one gateway, and never again after a newer one of its key.
"""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Meta

from bastide.core.error import Refused, Unreadable
from bastide.core.ids import DeviceId, is_device_id
from bastide.core.plan import Circle, NetworkMode

MAX_BYTES = 2 * 1024 * 1024
_KEY = r"^(frame|mud/[a-z0-9][a-z0-9._-]{0,62}|device/d-[a-z2-7]{20}|allow/[A-Za-z0-9._-]{1,64})\Z"


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    device: str
    generation: Annotated[int, Meta(ge=1, lt=2**53)]
    key: Annotated[str, Meta(pattern=_KEY, max_length=128)]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class _Item(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: Literal[1]
    statement: bytes
    signature: Annotated[bytes, Meta(min_length=64, max_length=64)]
    content: bytes


class ConduitForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source: str
    destination: str
    transport: Literal["tcp", "udp"]
    port: Annotated[int, Meta(ge=1, le=65535)]


class FrameForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``controllers`` fills RFC 8520's classes: an URN or URL to addresses; ``names`` are DNS names with fixed addresses."""

    controllers: dict[str, list[str]] = {}
    my_controllers: list[str] = []
    names: dict[str, list[str]] = {}
    local_networks: list[str] | None = None
    remediation: list[str] = []
    onboarding: list[str] = []
    conduits: list[ConduitForm] = []


Mac = Annotated[str, Meta(pattern=r"^(|[0-9a-f]{2}(:[0-9a-f]{2}){5})\Z")]


class MemberForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``profile`` is the name of a ``mud/`` item."""

    addresses: Annotated[list[str], Meta(min_length=1, max_length=32)]
    mac: Mac = ""
    circle: Circle = Circle.NOTHING
    mode: NetworkMode = NetworkMode.ENFORCE
    profile: Annotated[str, Meta(pattern=r"^[a-z0-9._-]{0,63}\Z")] = ""
    port: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{0,15}\Z")] = ""
    cell: Annotated[str, Meta(pattern=r"^[a-z0-9._-]{0,63}\Z")] = ""


class AllowanceForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source: str
    destination: str
    transport: Literal["tcp", "udp"]
    port: Annotated[int, Meta(ge=1, le=65535)]
    until: Annotated[datetime, Meta(tz=True)]


@dataclass(frozen=True, slots=True)
class Item:
    """An item that was checked: it is for this gateway, and its content is the signed one."""

    key: str
    generation: int
    content: bytes

    @property
    def kind(self) -> str:
        return self.key.partition("/")[0]

    @property
    def name(self) -> str:
        return self.key.partition("/")[2]


class ItemRefused(Refused):
    """An item that a gateway does not take."""

    code = "gateway:item:refused"


_json = msgspec.json.Encoder(order="deterministic")
_packer = msgspec.msgpack.Encoder()
_statement = msgspec.json.Decoder(Statement)
_item = msgspec.msgpack.Decoder(_Item)
F = TypeVar("F", FrameForm, MemberForm, AllowanceForm)


def statement(gateway: DeviceId, key: str, generation: int, content: bytes) -> bytes:
    """What the signer signs."""
    made = _json.encode(Statement(gateway, generation, key, sha256(content).hexdigest()))
    _statement.decode(made)  # its bounds
    return made


def encode_item(said: bytes, signature: bytes, content: bytes) -> bytes:
    return _packer.encode(_Item(1, said, signature, content))


def encode_content(form: FrameForm | MemberForm | AllowanceForm) -> bytes:
    return _json.encode(form)


def open_item(data: bytes, gateway: DeviceId, key: Ed25519PublicKey) -> Item:
    """The item in the bytes. ``ItemRefused``: bad form, bad signature (``gateway:item:signature``) or for another gateway."""
    if len(data) > MAX_BYTES:
        raise ItemRefused(f"An item of {len(data)} bytes is too long; {MAX_BYTES} are read.")
    try:
        item = _item.decode(data)
        key.verify(item.signature, item.statement)
        said = _statement.decode(item.statement)
    except InvalidSignature as error:
        raise ItemRefused(
            "An item's signature is not that of the plan key; whoever sent it is not the controller.",
            code="gateway:item:signature",
        ) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ItemRefused(f"This is not an item for a gateway: {error}.", code="gateway:item:unreadable") from error
    if said.device != gateway or not is_device_id(said.device):
        raise ItemRefused(
            f"An item for the gateway {said.device} was handed to {gateway}.", code="gateway:item:other-gateway"
        )
    if sha256(item.content).hexdigest() != said.sha256:
        raise ItemRefused("An item's content is not the signed one.", code="gateway:item:content")
    return Item(said.key, said.generation, item.content)


def decode_content(content: bytes, form: type[F]) -> F:
    """A form's value; ``Unreadable`` where the bytes are none, or hold an address that is none."""
    try:
        made = msgspec.json.decode(content, type=form)
        _check_addresses(made)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Unreadable(f"This part of a plan cannot be read: {error}.", code="gateway:item:unreadable") from error
    return made


def _check_addresses(form: Any) -> None:
    if isinstance(form, MemberForm):
        addresses: list[str] = form.addresses
    elif isinstance(form, AllowanceForm):
        addresses = [form.source, form.destination]
        if ip_address(form.source).version != ip_address(form.destination).version:
            raise ValueError("an exception's addresses are of two versions")
    else:
        addresses = [*form.my_controllers, *(one for many in form.controllers.values() for one in many)]
        addresses += [one for many in form.names.values() for one in many]
        for network in (*(form.local_networks or ()), *form.remediation, *form.onboarding):
            ip_network(network)
    for address in addresses:
        if str(ip_address(address)) != address:
            raise ValueError(f"{address} is not written in its shortest form")
