"""What the broker must hold for one device, as it lies in the key-value bucket ``plans``: the plan and what explains it.

A value is the JSON array ``[1, plan, device class, profile]`` in its canonical form; anything else is refused, so two
readers can never see two plans in one value.
"""

from dataclasses import dataclass
from typing import Literal

import msgspec

from bastide.core.error import Unreadable
from bastide.core.ids import DeviceClass
from bastide.core.plan import Plan
from bastide.core.profile import Profile

MAX_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class Desired:
    """A plan with the class and the profile that its messages are read by."""

    plan: Plan
    device_class: DeviceClass
    profile: Profile


class _Form(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: Literal[1]
    plan: Plan
    device_class: str
    profile: Profile


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Form)


def encode_desired(desired: Desired) -> bytes:
    """The canonical bytes."""
    written = _encoder.encode(_Form(1, desired.plan, desired.device_class, desired.profile))
    # A whole number where a fraction is declared (a minimum of 0) is one value with two forms; reading picks one of them.
    return _encoder.encode(_decoder.decode(written))


def decode_desired(data: bytes) -> Desired:
    """The value in the bytes; Unreadable unless they are exactly its canonical form."""
    try:
        if len(data) > MAX_BYTES:
            raise ValueError("too long")
        form = _decoder.decode(data)
        canonical = _encoder.encode(form) == data
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Unreadable(f"This is not a plan for the broker: {error}.", code="wire:desired:unreadable") from error
    if not canonical:
        raise Unreadable("This plan for the broker is not in canonical form.", code="wire:desired:unreadable")
    return Desired(form.plan, DeviceClass(form.device_class), form.profile)
