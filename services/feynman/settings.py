"""Settings of feynman."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from common.settings import Port, RedisSettings, Seconds, Symbols
from cottage import keys
from cottage.errors import InvalidName

Interval = Annotated[float, Field(ge=0.01, le=60)]


class FeynmanSettings(RedisSettings):
    model_config = SettingsConfigDict(env_prefix="FEYNMAN_", extra="ignore", frozen=True, hide_input_in_errors=True)

    tick_seconds: Interval = Field(1.0, description="snapshots are sampled this often")
    window: Annotated[int, Field(ge=2, le=100_000)] = Field(1000, description="samples in the sliding window")
    symbols: Symbols = Field((), description="comma-separated; empty: all that have a snapshot")
    shard: str = Field("0/1", description="i/n: the i-th of n parts of the symbols, counted from 0")
    discovery_seconds: Interval = Field(5.0, description="new symbols are looked for this often")
    heartbeat_seconds: Interval = Field(1.0, description="HEARTBEAT on the channel this often")
    lease_seconds: Annotated[float, Field(ge=0.2, le=60)] = Field(
        5.0, description="a writer that is silent for so long may be replaced"
    )
    forget_seconds: Seconds = Field(3600.0, description="a symbol without a snapshot for so long is given up")
    gap_seconds: Seconds = Field(60.0, description="no return is taken over a longer gap between two samples")
    checkpoint_dir: str = Field("", description="folder that keeps the windows over a restart; empty: none does")
    checkpoint_seconds: Annotated[float, Field(ge=1, le=3600)] = Field(
        60.0, description="samples that a killed process may lose, in seconds"
    )
    ops_port: Port = Field(9102, description="/healthz /readyz /status /metrics; 0 takes any free port")

    @field_validator("lease_seconds")
    @classmethod
    def _renewed_in_time(cls, lease: float, info: ValidationInfo) -> float:
        # Every tick and every heartbeat renews it. One of them may be late.
        renewals = [info.data[name] for name in ("tick_seconds", "heartbeat_seconds") if name in info.data]
        if renewals and lease < 2 * min(renewals):
            raise ValueError("must be at least twice as long as a tick or a heartbeat, which renew it")
        return lease

    @field_validator("shard")
    @classmethod
    def _shard(cls, text: str) -> str:
        try:
            keys.shard(text)
        except InvalidName as error:
            raise ValueError(str(error)) from error
        return text
