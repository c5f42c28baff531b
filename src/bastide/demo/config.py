"""The demo's settings: where Bastide runs (BASTIDE_…, as `bastide up` hands them on), and the story's own (BASTIDE_DEMO_…)."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class DemoConfig(BaseSettings):
    """One frozen value for the whole process. Times are real seconds; ``demo_speed`` is virtual seconds in a real one."""

    model_config = SettingsConfigDict(env_prefix="BASTIDE_", extra="ignore", frozen=True)

    data: Path = Path("~/.local/share/bastide")
    host: str = "127.0.0.1"
    console_port: int = Field(default=8443, ge=1, le=65535)
    device_port: int = Field(default=9443, ge=1, le=65535)
    mqtt_port: int = Field(default=8883, ge=1, le=65535)
    ready_fd: int = -1

    demo_devices: int = Field(default=25, ge=2, le=500)
    demo_speed: float = Field(default=360.0, gt=0, le=100_000)
    demo_misuse_after: float = Field(default=40.0, ge=0)
    demo_telnet_after: float = Field(default=75.0, ge=0)
    demo_for: float = Field(default=0.0, ge=0, description="End after so many seconds; 0: go on until stopped")
    demo_once: bool = Field(default=False, description="End when the story is told")
    demo_json: bool = Field(default=False, description="Tell one JSON document a line")

    @property
    def home(self) -> Path:
        """Where the devices keep their keys and certificates."""
        return self.data.expanduser() / "demo"
