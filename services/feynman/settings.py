"""Settings of feynman, FEYNMAN_…"""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from common.settings import Below, Most, Port, RedisSettings, Seconds, Symbols
from cottage import keys

Interval = Annotated[float, Field(ge=0.01, le=60)]


class FeynmanSettings(RedisSettings):
    model_config = SettingsConfigDict(env_prefix="FEYNMAN_")

    tick_seconds: Interval = Field(1.0, description="seconds between two ticks, each of which samples all snapshots")
    window: Annotated[int, Field(ge=2, le=100_000)] = Field(1000, description="samples in the sliding window")
    symbols: Symbols = Field((), description="comma-separated symbols; empty: all that have a snapshot")
    max_symbols: Most = Field(
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
    interval_widening: Annotated[float, Field(ge=1, le=10)] = Field(
        1.0, description="alpha_low and alpha_high lie so many times as far apart: 1.5 for volatility that clusters"
    )
    checkpoint_dir: str = Field("", description="folder of the checkpoints; none: a restart loses the windows")
    checkpoint_seconds: Annotated[float, Field(ge=1, le=3600)] = Field(
        60.0, description="a killed process loses at most the samples of so many seconds"
    )
    record_dir: str = Field(
        "", description="the record's folder, which is given checkpoints to begin its replay with; none: it gets none"
    )
    replay_dir: str = Field(
        "", description="folder of a record that is replayed: its checkpoints are loaded where the replay asks for it"
    )
    ops_port: Port = Field(9102, description="port of /healthz, /readyz, /status, /metrics; 0: any free one")

    gone: ClassVar[Mapping[str, str]] = {
        "FEYNMAN_GAP_SECONDS": "a return spans at most three steps, see docs/estimators.md, Irregular trading"
    }

    below: ClassVar[tuple[Below, ...]] = (
        Below("tick_seconds", "forget_seconds", "otherwise each symbol would be forgotten between two ticks"),
        Below("discovery_seconds", "forget_seconds", "otherwise a symbol would be forgotten before it is looked for"),
    )

    @field_validator("lease_seconds")
    @classmethod
    def _renewed_in_time(cls, lease: float, info: ValidationInfo) -> float:
        # Every tick and every heartbeat renews it. One of them may be late.
        renewals = [(info.data[name], name) for name in ("heartbeat_seconds", "tick_seconds") if name in info.data]
        seconds, name = min(renewals, key=lambda each: each[0], default=(0.0, ""))
        if lease < 2 * seconds:
            raise ValueError(f"must be at least twice {cls.variable(name)}, which is {seconds:g} and renews it")
        return lease

    @field_validator("shard")
    @classmethod
    def _shard(cls, text: str) -> str:
        keys.shard(text)
        return text
