"""The ingest worker's settings (BASTIDE_…)."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class IngestConfig(BaseSettings):
    """One frozen value for the process."""

    model_config = SettingsConfigDict(env_prefix="BASTIDE_", extra="ignore", frozen=True)

    data: Path = Path("~/.local/share/bastide")
    nats_port: int = Field(default=4222, ge=1, le=65535)
    nats_url: str = ""
    ingest_partition: str = Field(default="p0", pattern=r"^[a-z0-9]{1,16}$")
    sample_days: int = Field(default=30, ge=1, le=3650)
    sample_bytes: int = Field(default=20 * 1024**3, ge=1024**2)
    ready_fd: int = -1

    @property
    def broker_url(self) -> str:
        return self.nats_url or f"tls://localhost:{self.nats_port}"
