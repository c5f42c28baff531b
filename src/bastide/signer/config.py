"""The signer's settings: ``BASTIDE_SIGNER_…`` in the environment, over the table ``[signer]`` of ``bastide.toml``.

They are read by hand and not with pydantic, which would take a quarter of the memory of this process and is a lot of code
beside the authority keys. Unknown names are refused here too.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from bastide.core.error import BastideError
from bastide.signer.profiles import Limits

_PREFIX = "BASTIDE_SIGNER_"


class SettingsWrong(BastideError):
    """A setting that cannot be used."""

    code = "settings:wrong"


@dataclass(frozen=True, slots=True)
class SignerConfig:
    """``keys`` is ``file`` or ``pkcs11``. A PIN or passphrase is given as a file, never as the value itself."""

    data: Path
    socket: Path
    keys: str = "file"
    passphrase_file: Path | None = None
    pkcs11_module: str = ""
    pkcs11_token: str = ""
    pkcs11_pin_file: Path | None = None
    server_names: tuple[str, ...] = ()
    device_days: int = 398
    server_days: int = 90
    crl_days: int = 7
    log_level: str = "WARNING"

    @property
    def folder(self) -> Path:
        return self.data / "signer"

    @property
    def trust(self) -> Path:
        return self.data / "trust"

    @property
    def limits(self) -> Limits:
        return Limits(
            device_lifetime=timedelta(days=self.device_days),
            server_lifetime=timedelta(days=self.server_days),
            crl_lifetime=timedelta(days=self.crl_days),
            server_names=self.server_names,
        )


def read_config(environment: Mapping[str, str] | None = None) -> SignerConfig:
    """The settings in force; ``SettingsWrong`` names the first that cannot be used."""
    environment = os.environ if environment is None else environment  # noqa: TID251  # this is the config.py
    default = Path.home() / ".local" / "share" / "bastide"
    data = Path(environment.get("BASTIDE_DATA") or default).expanduser().absolute()
    given = _from_file(data / "bastide.toml")
    for name, value in environment.items():
        if name.startswith(_PREFIX):
            given[name.removeprefix(_PREFIX).lower()] = value
    given.setdefault("socket", str(data / "run" / "signer.sock"))
    known = {field.name: str(field.type) for field in fields(SignerConfig) if field.name != "data"}
    if unknown := sorted(set(given) - set(known)):
        raise SettingsWrong(
            f"There is no setting {', '.join(unknown)} of the signer; there are {', '.join(sorted(known))}."
        )
    config = SignerConfig(data=data, **{name: _read(name, value) for name, value in given.items()})
    if config.keys not in ("file", "pkcs11"):
        raise SettingsWrong(f"BASTIDE_SIGNER_KEYS is {config.keys!r}; it is 'file' or 'pkcs11'.")
    if config.keys == "pkcs11" and not (config.pkcs11_module and config.pkcs11_token and config.pkcs11_pin_file):
        raise SettingsWrong("Keys in a PKCS#11 token need pkcs11_module, pkcs11_token and pkcs11_pin_file.")
    return config


def _from_file(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text()).get("signer", {})
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsWrong(f"The settings file {path} cannot be read: {error}.") from error
    if not isinstance(table, dict):
        raise SettingsWrong(f"'signer' in {path} is not a table.")
    return table


def _read(name: str, value: object) -> Any:
    if name in ("socket", "passphrase_file", "pkcs11_pin_file"):
        return Path(str(value)).expanduser().absolute()
    if name.endswith("_days"):
        if not str(value).isdigit() or not 1 <= int(str(value)) <= 3650:
            raise SettingsWrong(f"The signer's setting {name} is {value!r}; it is a number of days from 1 to 3650.")
        return int(str(value))
    if name == "server_names":
        names = value if isinstance(value, list) else str(value).split(",")
        return tuple(str(one).strip() for one in names if str(one).strip())
    return str(value)
