"""Settings of feynman, FEYNMAN_…"""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from common.settings import Port, RedisSettings, Seconds, Symbols
from cottage import keys

Interval = Annotated[float, Field(ge=0.01, le=60)]


class FeynmanSettings(RedisSettings):
    model_config = SettingsConfigDict(env_prefix="FEYNMAN_")

    tick_seconds: Interval = Field(1.0, description="seconds between two ticks, each of which samples all snapshots")
    window: Annotated[int, Field(ge=2, le=100_000)] = Field(1000, description="samples in the sliding window")
    symbols: Symbols = Field((), description="comma-separated symbols; empty: all that have a snapshot")
    max_symbols: Annotated[int, Field(ge=1)] = Field(
        12_000,
        description="snapshots of more symbols than this are left out, so that foreign names cannot fill the memory",
    )
    shard: str = Field("0/1", description="i/n computes the i-th of n parts of the symbols, from 0")
    discovery_seconds: Interval = Field(5.0, description="seconds between two searches for new symbols")
    heartbeat_seconds: Interval = Field(1.0, description="seconds between two HEARTBEATs on the channel")
    lease_seconds: Annotated[float, Field(ge=0.2, le=60)] = Field(
        5.0, description="a standby takes over when the lease was not renewed for so many seconds"
    )
    forget_seconds: Seconds = Field(3600.0, description="seconds without a snapshot until a symbol is forgotten")
    gap_seconds: Seconds = Field(60.0, description="samples more than so many seconds apart give no return")
    checkpoint_dir: str = Field("", description="folder of the checkpoints; empty: a restart loses the windows")
    checkpoint_seconds: Annotated[float, Field(ge=1, le=3600)] = Field(
        60.0, description="a killed process loses at most the samples of so many seconds"
    )
    ops_port: Port = Field(9102, description="port of /healthz, /readyz, /status, /metrics; 0: any free one")

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
        keys.shard(text)
        return text
