"""The controller's settings: what ``bastide up`` hands on, or an operator's own environment (BASTIDE_…)."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ControllerConfig(BaseSettings):
    """One frozen value for the whole process."""

    model_config = SettingsConfigDict(env_prefix="BASTIDE_", extra="ignore", frozen=True)

    data: Path = Path("~/.local/share/bastide")
    host: str = "127.0.0.1"
    console_port: int = Field(default=8443, ge=1, le=65535)
    device_port: int = Field(default=9443, ge=1, le=65535)
    mqtt_port: int = Field(default=8883, ge=1, le=65535)
    nats_port: int = Field(default=4222, ge=1, le=65535)
    server_names: str = "localhost"
    database_url: str = ""
    nats_url: str = ""
    evidence_days: int = Field(default=90, ge=1, le=3650)
    signer_socket: Path | None = None
    mud_anchors: Path | None = None
    mud_trust: Path | None = None
    mud_private: bool = False
    ready_fd: int = -1

    @property
    def names(self) -> tuple[str, ...]:
        """What the server certificates must be good for: the names that were set, and the address that is listened on."""
        told = [name.strip() for name in self.server_names.split(",") if name.strip()]
        return tuple(dict.fromkeys([*told, "localhost", "127.0.0.1", self.host]))

    @property
    def console_url(self) -> str:
        return f"https://localhost:{self.console_port}"
