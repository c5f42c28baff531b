"""The authority keys in one token, found by their labels ``bastide-root``, ``bastide-issuing``, ``bastide-issuing-2`` and so on.

They are made sensitive and not extractable (PKCS#11 3.0, 4.9). One session is used, by one thread: the signer's.
"""

from dataclasses import replace
from typing import Any

import pkcs11
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.exceptions import PKCS11Error
from pkcs11.util.ec import encode_named_curve_parameters

from bastide.adapters.pkcs11.keys import TokenECKey, TokenEd25519Key
from bastide.ports.keys import MOST_ISSUING, KeyRing, KeysUnusable, issuing_names

_CURVES: dict[str, ec.EllipticCurve] = {"root": ec.SECP384R1(), "issuing": ec.SECP256R1()}
_ED25519 = ("checkpoint", "account", "plan")
# PKCS#11 3.0, 6.3.3: the curve by its name, as a PrintableString; some tokens want the object identifier of RFC 8410.
_ED25519_PARAMETERS = (b"\x13\x0cedwards25519", bytes.fromhex("06032b6570"))


class TokenKeys:
    """Implements ports.keys.KeyStore. ``KeysUnusable`` where the module, token or PIN is wrong, or keys are missing."""

    blocking = True

    def __init__(self, module: str, token: str, pin: str) -> None:
        try:
            self._library = pkcs11.lib(module)
            self._session = self._library.get_token(token_label=token).open(rw=True, user_pin=pin)
        except (PKCS11Error, RuntimeError) as error:
            raise KeysUnusable(
                f"The token {token!r} behind {module} cannot be opened: {type(error).__name__} {error}. Check the module, "
                "that the token is there, and the PIN."
            ) from error

    @property
    def exists(self) -> bool:
        return all(self._find(name) is not None for name in (*_CURVES, *_ED25519))

    def create(self) -> KeyRing:
        """Makes inside the token those keys that are not there (a crash may have left some)."""
        try:
            for name, curve in _CURVES.items():
                if self._find(name) is None:
                    self._generate_ec(name, curve)
            for name in _ED25519:
                if self._find(name) is None:
                    self._generate_ed25519(name)
        except PKCS11Error as error:
            raise KeysUnusable(f"The token did not make the authority keys: {type(error).__name__} {error}.") from error
        return self.open()

    def open(self) -> KeyRing:
        try:
            root = self._ec("root", _CURVES["root"])
            named = [name for name in issuing_names() if name == "issuing" or self._find(name) is not None]
            issuing = tuple(self._ec(name, _CURVES["issuing"]) for name in named)
            checkpoint, account, plan = (self._ed25519(name) for name in _ED25519)
        except (PKCS11Error, ValueError) as error:
            raise KeysUnusable(f"The token's authority keys cannot be read: {type(error).__name__} {error}.") from error
        return KeyRing(root=root, issuing=issuing, checkpoint=checkpoint, account=account, plan=plan)

    def with_next_issuing(self, ring: KeyRing) -> KeyRing:
        free = [name for name in issuing_names() if self._find(name) is None]
        if not free:
            raise KeysUnusable(f"There are {MOST_ISSUING} issuing keys in the token, and no more are held.")
        try:
            self._generate_ec(free[0], _CURVES["issuing"])
        except PKCS11Error as error:
            raise KeysUnusable(f"The token made no issuing key: {type(error).__name__} {error}.") from error
        return replace(ring, issuing=(*ring.issuing, self._ec(free[0], _CURVES["issuing"])))

    def without_root(self, ring: KeyRing) -> KeyRing:
        """As it is: the key cannot leave the token to be kept elsewhere, and without it there is no next issuing CA."""
        return ring

    def close(self) -> None:
        self._session.close()

    def _ec(self, name: str, curve: ec.EllipticCurve) -> TokenECKey:
        private, point = self._pair(name)
        return TokenECKey(private, ec.EllipticCurvePublicKey.from_encoded_point(curve, point))

    def _ed25519(self, name: str) -> TokenEd25519Key:
        private, point = self._pair(name)
        return TokenEd25519Key(private, ed25519.Ed25519PublicKey.from_public_bytes(point))

    def _pair(self, name: str) -> tuple[Any, bytes]:
        private, public = self._find(name), self._find(name, ObjectClass.PUBLIC_KEY)
        if private is None or public is None:
            raise KeysUnusable(
                f"The token has some of the authority keys, and bastide-{name} is missing. Restore the token, or use an empty "
                "one for a new installation."
            )
        return private, _octets(bytes(public[Attribute.EC_POINT]))

    def _find(self, name: str, kind: ObjectClass = ObjectClass.PRIVATE_KEY) -> Any | None:
        found = list(self._session.get_objects({Attribute.CLASS: kind, Attribute.LABEL: f"bastide-{name}"}))
        if len(found) > 1:
            raise KeysUnusable(f"The token has {len(found)} keys labelled bastide-{name}; there must be one.")
        return found[0] if found else None

    def _generate_ec(self, name: str, curve: ec.EllipticCurve) -> None:
        self._generate(name, KeyType.EC, encode_named_curve_parameters(curve.name), Mechanism.EC_KEY_PAIR_GEN)

    def _generate_ed25519(self, name: str) -> None:
        for last, parameters in enumerate(_ED25519_PARAMETERS, start=1):
            try:
                self._generate(name, KeyType.EC_EDWARDS, parameters, Mechanism.EC_EDWARDS_KEY_PAIR_GEN)
            except PKCS11Error:
                if last == len(_ED25519_PARAMETERS):
                    raise
            else:
                return

    def _generate(self, name: str, kind: KeyType, parameters: bytes, mechanism: Mechanism) -> None:
        domain = self._session.create_domain_parameters(kind, {Attribute.EC_PARAMS: parameters}, local=True)
        domain.generate_keypair(
            mechanism=mechanism,
            store=True,
            label=f"bastide-{name}",
            id=name.encode(),
            private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.SIGN: True},
        )


def _octets(point: bytes) -> bytes:
    """The content of CKA_EC_POINT: a DER octet string, which all keys here keep under 128 bytes."""
    if len(point) < 2 or point[0] != 0x04 or point[1] != len(point) - 2:
        raise ValueError("the public point is not a DER octet string")
    return point[2:]
