"""Settings of the bridge."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from common.settings import FreshnessSettings, Port, RedisSettings, Seconds
from cottage.freshness import Thresholds


class BridgeSettings(RedisSettings, FreshnessSettings):
    model_config = SettingsConfigDict(env_prefix="BRIDGE_", extra="ignore", frozen=True, hide_input_in_errors=True)

    host: str = Field("127.0.0.1", description="address of the link that broadcasters dial")
    port: Port = Field(8766, description="port of the link")
    ops_port: Port = Field(9104, description="/healthz /readyz /status /metrics; 0 takes any free port")
    reread_seconds: Seconds = Field(30.0, description="all states are read again this often")
    max_symbols: Annotated[int, Field(ge=1)] = Field(
        20_000,
        description="states of more symbols than that are dropped: what anybody may publish must not fill memory",
    )
    silence_seconds: Annotated[float, Field(ge=0.2, allow_inf_nan=False)] = Field(
        3.0, description="a channel silent for so long is asked whether it still hears"
    )
    heartbeat_seconds: Seconds = Field(1.0, description="HEARTBEAT on the link this often")

    def thresholds(self) -> Thresholds:
        return Thresholds(self.stale_seconds, self.expired_seconds, self.silence_seconds)
