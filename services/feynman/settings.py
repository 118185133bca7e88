"""Settings of feynman."""

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from common import keys
from common.errors import InvalidName
from common.settings import Port, RedisSettings, Seconds, Symbols


class FeynmanSettings(RedisSettings):
    model_config = SettingsConfigDict(env_prefix="FEYNMAN_", extra="ignore", frozen=True, hide_input_in_errors=True)

    tick_seconds: Annotated[float, Field(ge=0.01, le=60)] = Field(1.0, description="snapshots are sampled this often")
    window: Annotated[int, Field(ge=2, le=100_000)] = Field(1000, description="samples in the sliding window")
    symbols: Symbols = Field((), description="comma-separated; empty: all that have a snapshot")
    shard: str = Field("0/1", description="i/n: the i-th of n parts of the symbols, counted from 0")
    lease_seconds: Annotated[float, Field(ge=0.2, le=60)] = Field(
        5.0, description="a writer that is silent for so long may be replaced"
    )
    discovery_seconds: Seconds = Field(5.0, description="new symbols are looked for this often")
    heartbeat_seconds: Seconds = Field(1.0, description="HEARTBEAT on the channel this often")
    forget_seconds: Seconds = Field(3600.0, description="a symbol without a snapshot for so long is given up")
    gap_seconds: Seconds = Field(60.0, description="no return is taken over a longer gap between two samples")
    ops_port: Port = Field(9102, description="/healthz /readyz /status /metrics; 0 takes any free port")

    @field_validator("shard")
    @classmethod
    def _shard(cls, text: str) -> str:
        try:
            keys.shard(text)
        except InvalidName as error:
            raise ValueError(str(error)) from error
        return text
