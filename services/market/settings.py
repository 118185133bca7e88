"""Settings of the market service, MARKET_…"""

import contextlib
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from common.settings import Port, RedisSettings, Seconds, Symbols, number
from cottage import keys
from cottage.errors import InvalidName
from cottage.files.options import ReadOptions
from cottage.files.recording import Recording
from cottage.record.record import is_record

SLOWEST, FASTEST = 0.001, 100_000.0
IN_LOCK_STEP = ("max", "bars")


def _speed(value: object) -> object:
    if isinstance(value, str):
        if value.lower() in IN_LOCK_STEP:
            return value.lower()
        with contextlib.suppress(ValueError):
            value = number(value)
    if isinstance(value, int | float) and SLOWEST <= value <= FASTEST:
        return float(value)
    raise ValueError(f"must be a number from {SLOWEST:g} to {FASTEST:,.0f}, max or bars")


Speed = Annotated[float | Literal["max", "bars"], BeforeValidator(_speed)]


class MarketSettings(RedisSettings):
    model_config = SettingsConfigDict(env_prefix="MARKET_")

    ops_port: Port = Field(9101, description="port of /healthz, /readyz, /status, /metrics; 0: any free one")
    source: Literal["simulate", "replay", "live"] = Field(
        "simulate", description="where the market comes from: simulate, replay, or live (with a later version)"
    )
    symbols: Symbols = Field(
        (), description="comma-separated symbols; empty: nine of its own for simulate, all of the file for replay"
    )
    # With 14 every regime shows early and stays, also to a reader that begins late or misses steps.
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        14, description="simulate: the same seed gives the same series"
    )
    interval_seconds: Annotated[Seconds, Field(ge=0.01, le=10)] = Field(
        1.0, description="simulate: seconds between two prices of a symbol; replay of bars: between two bars"
    )
    # Without a default to validate, what replay needs would not be asked for where it is not set.
    file: str = Field(
        "", validate_default=True, description="replay: any file of trades, bars or quotes; a folder, or a pattern"
    )
    speed: Speed = Field(
        1.0,
        description="replay: how many seconds of the recording pass in one second; max: as many as feynman can take; "
        "bars: a bar in each MARKET_INTERVAL_SECONDS",
    )
    format: str = Field(
        "", description="replay: a vendor's format, or the columns of a file without a header: time,price,size"
    )
    time: str = Field("", description="replay: the column of the time, or exchange or receive")
    zone: str = Field("", description="replay: the zone of times that state none, such as America/New_York or -05:00")
    stamp: str = Field("", description="replay: whether a bar is stamped with its open or its close")
    price: str = Field("", description="replay: the column of the price, or adj for the adjusted close")
    size: str = Field("", description="replay: the column of the size or the volume")
    symbol: str = Field("", description="replay: the symbol of a file that names none, or the column that does")
    order: str = Field(
        "", description="replay: day-first or month-first for dates, oldest-first or newest-first for rows"
    )
    conditions: str = Field("", description="replay: which prices count, all or tape")
    loop: bool = Field(False, description="replay: true starts over at the end of the file, as a new session")
    exit_at_end: bool = Field(
        False, description="replay: true ends the process at the end of the file; else it stays, and says so"
    )
    feed: str = Field(
        "", description="ID of this feed in market:feed:ID, of its own on each Redis; empty: the source in capitals"
    )

    feed_seconds: Annotated[Seconds, Field(ge=0.1, le=60)] = Field(
        5.0, description="market:feed:ID expires after so many seconds; it is renewed five times in that time"
    )

    @field_validator("source")
    @classmethod
    def _built(cls, source: str) -> str:
        if source == "live":
            raise ValueError("live comes with a later version; until then simulate or replay")
        return source

    @field_validator("symbols")
    @classmethod
    def _each_once(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(symbols))

    @field_validator("file")
    @classmethod
    def _file_for_replay(cls, file: str, others: ValidationInfo) -> str:
        source = others.data.get("source")
        if source == "replay" and not file:
            raise ValueError("replay needs a recording, such as MARKET_FILE=trades.csv.gz")
        if source == "simulate" and file:
            raise ValueError("is for MARKET_SOURCE=replay, and MARKET_SOURCE is simulate, which would not read it")
        return file

    @field_validator("exit_at_end")
    @classmethod
    def _has_an_end(cls, exit_at_end: bool, others: ValidationInfo) -> bool:
        if exit_at_end and others.data.get("loop"):
            raise ValueError("MARKET_LOOP starts over at the end of the file: there is no end to exit at")
        return exit_at_end

    @field_validator("feed")
    @classmethod
    def _identifier(cls, feed: str) -> str:
        try:
            return keys.symbol(feed) if feed else feed
        except InvalidName as error:
            raise ValueError(keys.SYMBOL_RULE) from error

    def check(self) -> None:
        """Open the recording of a replay, and read its header."""
        if self.source == "replay" and not is_record(Path(self.file)):
            Recording(Path(self.file), options=self.options).close()

    @property
    def options(self) -> ReadOptions:
        """What is stated about the file. Raises SettingsError for what cannot be."""
        return ReadOptions(**{each.name: getattr(self, each.name) for each in fields(ReadOptions)})

    @property
    def feed_id(self) -> str:
        return self.feed or self.source.upper()

    @property
    def in_lock_step(self) -> bool:
        """Whether the source waits for feynman: of a record at any speed, where windows are to be replaced."""
        return self.source == "replay" and (self.speed in IN_LOCK_STEP or is_record(Path(self.file)))
