"""The gateway's settings: its environment (BASTIDE_GATEWAY_…)."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class GatewayConfig(BaseSettings):
    """One frozen value for all processes of a gateway. ``ports`` are its interfaces that face devices, with commas.

    ``repair`` is whether rules changed by hand are put right or only reported; ``unused_days`` after how many days without
    use an entry is proposed for removal. ``user`` is whom the link runs as.
    """

    model_config = SettingsConfigDict(env_prefix="BASTIDE_GATEWAY_", extra="forbid", frozen=True)

    data: Path = Path("/var/lib/bastide-gateway")
    ports: str = ""
    nats: str = ""
    repair: bool = True
    check_seconds: float = Field(default=1.0, ge=0.1, le=60)
    unused_days: int = Field(default=30, ge=1, le=3650)
    user: str = "nobody"
    dns_listen: str = ""
    dns_upstream: str = ""
    dns_upstream_name: str = ""
    dns_upstream_ca: Path | None = None
    dns_floor_seconds: int = Field(default=60, ge=1, le=86400)

    @property
    def device_ports(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one.strip() for one in self.ports.split(",") if one.strip()))

    @property
    def rules(self) -> Path:
        """What the keeper alone reads and writes."""
        return self.data / "rules"

    @property
    def identity(self) -> Path:
        """The gateway's own key and certificate, and its key to the broker."""
        return self.data / "identity"
