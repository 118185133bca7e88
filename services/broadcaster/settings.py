"""Settings of the broadcaster. It has no Redis URL: it faces strangers and holds no credentials."""

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from common.fanout.frames import CLOSE_SECONDS
from common.fanout.limits import Limits
from common.settings import FreshnessSettings, Port, Seconds
from cottage.freshness import Thresholds
from cottage.protocol import Grant
from cottage.urls import websocket

Limit = Annotated[int, Field(ge=0)]


class BroadcasterSettings(FreshnessSettings):
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

    share_port: bool = Field(
        False, description="true: several broadcasters of one host listen on the same port, and share what comes"
    )
    close_spread_seconds: Annotated[float, Field(ge=0, le=4, allow_inf_nan=False)] = Field(
        2.0, description="a stop closes its clients one after the other over so long, within DRAIN_SECONDS"
    )
    max_connections: Limit = Field(
        20_000, description="clients; more are answered with 503. 0 is no limit, here and below"
    )
    max_connections_per_address: Limit = Field(
        1_000, description="clients of one address (IPv6: of one /64); behind a proxy all come from the proxy's"
    )
    max_handshakes_per_second: Limit = Field(1_000, description="requests for a connection or a page")
    max_requests_per_second: Limit = Field(
        10, description="that a client may send, ten times as many at once; one that sends more is closed with 1008"
    )
    max_bytes_per_second: Limit = Field(32 * 1024, description="that a client may send, likewise")
    max_symbols: Annotated[int, Field(ge=1)] = Field(
        4_096, description="symbols that a client may name; who wants more subscribes to all"
    )
    first_byte_seconds: Seconds = Field(2.0, description="a connection that says nothing for so long is cut off")
    handshake_seconds: Seconds = Field(5.0, description="how long a handshake may take")
    client_silence_seconds: Seconds = Field(
        20.0, description="a client that was silent for so long is pinged, and closed as long again"
    )
    slow_seconds: Seconds = Field(
        30.0, description="a client that reads nothing for so long, though there is something, is closed with 1013"
    )

    def limits(self) -> Limits:
        return Limits(
            connections=self.max_connections,
            connections_per_address=self.max_connections_per_address,
            handshakes_per_second=self.max_handshakes_per_second,
            grant=Grant(
                max_symbols=self.max_symbols,
                requests_per_second=self.max_requests_per_second,
                bytes_per_second=self.max_bytes_per_second,
            ),
            first_byte_seconds=self.first_byte_seconds,
            handshake_seconds=self.handshake_seconds,
            silence_seconds=self.client_silence_seconds,
            slow_seconds=self.slow_seconds,
        )

    def spread(self) -> float:
        """Seconds over which clients are closed; who does not follow has CLOSE_SECONDS within the drain as well."""
        return max(0.0, min(self.close_spread_seconds, self.drain_seconds - CLOSE_SECONDS - 0.5))

    def thresholds(self) -> Thresholds:
        return Thresholds(self.stale_seconds, self.expired_seconds, self.silence_seconds)

    @field_validator("bridge_url")
    @classmethod
    def _websocket(cls, url: str) -> str:
        return websocket(url)
