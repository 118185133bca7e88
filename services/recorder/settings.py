"""Settings of the recorder, RECORDER_…"""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from common.auth.link_settings import LinkSettings
from common.settings import RECORD_FOLDER, Most, Port, RedisSettings, Seconds, Symbols
from common.tls_settings import LinkTlsSettings
from cottage.urls import http_server, websocket

States = Literal["full", "inputs"]


class RecorderSettings(RedisSettings, LinkTlsSettings, LinkSettings):
    model_config = SettingsConfigDict(env_prefix="RECORDER_")

    on: bool = Field(True, validation_alias="RECORDER", description="off: nothing is recorded")
    dir: str = Field(RECORD_FOLDER, description="folder of the record")
    flush_seconds: Annotated[float, Field(ge=0.1, le=60)] = Field(
        2.0, description="a killed recorder loses at most what came in so many seconds"
    )
    keep_days: Annotated[float, Field(gt=0, le=36_525)] = Field(
        7.0, description="what is older is deleted, a file of an hour at a time"
    )
    max_gib: Annotated[float, Field(gt=0, le=1e6)] = Field(
        20.0, description="the oldest files are deleted where those of closed rows take more GiB than this"
    )
    symbols: Symbols = Field((), description="comma-separated symbols; empty: all")
    max_symbols: Most = Field(
        20_000,
        description="states of more symbols than this are not recorded, so that foreign names cannot fill the memory",
    )
    states: States = Field(
        "full", description="inputs: samples without their states, which can be computed anew; full: both"
    )
    warm: bool = Field(
        True, description="windows of feynman that have just begun are filled from the record; off: they fill slowly"
    )
    bridge_url: str = Field(
        "ws://127.0.0.1:8766/ws", description="URL of the bridge, which says how fresh states are"
    )
    archive: str = Field("", description="s3://bucket/prefix to which files of hours are copied; none: nowhere")
    archive_endpoint: str = Field("", description="URL of an S3-compatible storage; none: Amazon's own")
    silence_seconds: Annotated[Seconds, Field(ge=0.2)] = Field(
        3.0, description="after so many seconds of silence Redis and the bridge are asked, and dialled again"
    )
    ops_port: Port = Field(9106, description="port of /healthz, /readyz, /status, /metrics; 0: any free one")

    @field_validator("bridge_url")
    @classmethod
    def _websocket(cls, url: str) -> str:
        return websocket(url)

    @field_validator("archive")
    @classmethod
    def _bucket(cls, url: str) -> str:
        scheme, _, place = url.partition("://")
        if url and (scheme != "s3" or not place.strip("/")):
            raise ValueError("must look like s3://bucket/prefix")
        return url

    @field_validator("archive_endpoint")
    @classmethod
    def _endpoint(cls, url: str) -> str:
        return http_server(url) if url else url

    @model_validator(mode="after")
    def _of_an_archive(self) -> Self:
        if self.archive_endpoint and not self.archive:
            raise ValueError("RECORDER_ARCHIVE_ENDPOINT: goes with RECORDER_ARCHIVE, which is not set")
        return self
