"""Settings of the broadcaster. It has no Redis URL: it faces strangers and holds no credentials."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from common.settings import Port, Seconds, ServiceSettings


class BroadcasterSettings(ServiceSettings):
    model_config = SettingsConfigDict(
        env_prefix="BROADCASTER_", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    host: str = Field("127.0.0.1", description="address for clients and the web page")
    port: Port = Field(8765, description="port for clients and the web page")
    ops_port: Port = Field(9105, description="/healthz /readyz /status /metrics; 0 takes any free port")
    bridge_url: str = Field("ws://127.0.0.1:8766/ws", description="the bridge's link")
    heartbeat_seconds: Seconds = Field(5.0, description="HEARTBEAT to each client this often")
    silence_seconds: Annotated[float, Field(ge=0.2, allow_inf_nan=False)] = Field(
        3.0, description="a link silent for so long is given up and dialled again"
    )

    @field_validator("bridge_url")
    @classmethod
    def _websocket(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise ValueError("must look like ws://127.0.0.1:8766/ws")
        return url
