"""Settings of the broadcaster, BROADCASTER_…; no Redis URL is among them, since it is exposed to the public."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from common.auth.link_settings import LinkSettings
from common.auth.settings import AuthSettings
from common.fanout.frames import CLOSE_SECONDS
from common.fanout.limits import Limits
from common.settings import MOST, Below, FreshnessSettings, Host, Most, Networks, Port, Seconds
from common.tls_settings import LinkTlsSettings, TlsSettings
from cottage.grant import Grant
from cottage.urls import http_server, websocket
from services.broadcaster.page_access import PageAccess

ANSWER_SECONDS = CLOSE_SECONDS + 0.5
"""What a stop needs after the last client was told."""

Limit = Annotated[int, Field(ge=0, le=MOST)]


class BroadcasterSettings(FreshnessSettings, TlsSettings, LinkTlsSettings, LinkSettings, AuthSettings):
    model_config = SettingsConfigDict(env_prefix="BROADCASTER_")

    host: Host = Field("127.0.0.1", description="address that clients connect to, also for the web page")
    port: Port = Field(8765, description="port that clients connect to, also for the web page")
    ops_port: Port = Field(9105, description="port of /healthz, /readyz, /status, /metrics; 0: any free one")
    bridge_url: str = Field("ws://127.0.0.1:8766/ws", description="URL of the bridge")
    # The protocol promises that a server says something every 5 s.
    heartbeat_seconds: Annotated[Seconds, Field(le=5)] = Field(
        5.0, description="seconds between two HEARTBEATs to each client"
    )
    silence_seconds: Annotated[Seconds, Field(ge=0.2)] = Field(
        3.0, description="after so many seconds of silence the link to the bridge is dialled again"
    )

    share_port: bool = Field(
        False, description="true: several broadcasters on one host listen on the same port and share its connections"
    )
    close_spread_seconds: Annotated[float, Field(ge=0, le=4)] = Field(
        2.0, description="a stop closes its clients one after the other over so many seconds, within DRAIN_SECONDS"
    )
    max_connections: Limit = Field(
        20_000, description="most clients; further ones get 503. 0 is no limit, here and in the next four"
    )
    max_connections_per_address: Limit = Field(
        1_000,
        description="most clients of one address (IPv6: of one /64); a proxy that is not trusted is one address",
    )
    max_waiting: Most = Field(
        1_000, description="most clients, beside those, that have shown no token yet, where one is asked for"
    )
    max_waiting_per_address: Most = Field(200, description="the same of one address")
    trusted_proxies: Networks = Field(
        (),
        description="addresses and networks of reverse proxies, comma-separated; what they say of their clients' "
        "address and host (X-Forwarded-For, X-Forwarded-Host, Forwarded) is believed",
    )
    max_handshakes_per_second: Limit = Field(1_000, description="most requests for a connection or a page, in all")
    max_requests_per_second: Limit = Field(
        10, description="most requests of one client, ten times as many at once; above that it is closed with 1008"
    )
    max_bytes_per_second: Limit = Field(32 * 1024, description="most bytes from one client, likewise")
    max_symbols: Most = Field(4_096, description="most symbols that a client may name; for more it subscribes to all")
    first_byte_seconds: Seconds = Field(2.0, description="seconds for a new connection to send something")
    handshake_seconds: Seconds = Field(5.0, description="seconds that a handshake may take")
    api_url: str = Field("", description="URL of the physics API that the web page may ask; empty: none")
    login_url: str = Field(
        "",
        description="where the web page sends a browser to sign in (OAuth 2 with PKCE); empty: tokens are pasted",
    )
    login_token_url: str = Field("", description="where the code that a browser brings back is exchanged for a token")
    login_client_id: str = Field("", description="the web page's client id there")
    login_scope: str = Field("", description="the scope that is asked for, with blanks in between")
    client_silence_seconds: Seconds = Field(
        20.0, description="a client silent for so many seconds is pinged, and closed after as many again"
    )
    slow_seconds: Seconds = Field(
        30.0, description="a slow consumer that takes no data for so many seconds is closed with 1013"
    )

    below: ClassVar[tuple[Below, ...]] = (
        Below("first_byte_seconds", "handshake_seconds", "a handshake begins with a first byte"),
    )

    def limits(self) -> Limits:
        return Limits(
            connections=self.max_connections,
            connections_per_address=self.max_connections_per_address,
            handshakes_per_second=self.max_handshakes_per_second,
            waiting=self.max_waiting,
            waiting_per_address=self.max_waiting_per_address,
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
        """Seconds over which clients are closed. The last one still has ANSWER_SECONDS within the drain."""
        return max(0.0, min(self.close_spread_seconds, self.drain_seconds - ANSWER_SECONDS))

    def page_access(self, *, asks: bool) -> PageAccess:
        """What the web page is told. `asks`: whether clients are asked for a token."""
        sign_in = (self.login_url, self.login_token_url, self.login_client_id, self.login_scope)
        return PageAccess(asks, self.api_url, *sign_in)

    @model_validator(mode="after")
    def _whole_login(self) -> Self:
        given = (self.login_url, self.login_token_url, self.login_client_id)
        if any(given) and not all(given):
            raise ValueError(
                "BROADCASTER_LOGIN_URL, BROADCASTER_LOGIN_TOKEN_URL and BROADCASTER_LOGIN_CLIENT_ID go together"
            )
        return self

    @model_validator(mode="after")
    def _within_the_drain(self) -> Self:
        # A default is shortened in silence.
        if "close_spread_seconds" in self.model_fields_set and self.close_spread_seconds > self.spread():
            raise ValueError(
                f"BROADCASTER_CLOSE_SPREAD_SECONDS: {self.close_spread_seconds:g} must leave {ANSWER_SECONDS:g} s of "
                f"DRAIN_SECONDS, which is {self.drain_seconds:g}, for the last client to answer"
            )
        return self

    @field_validator("api_url", "login_url", "login_token_url")
    @classmethod
    def _http(cls, url: str) -> str:
        return http_server(url) if url else url

    @field_validator("bridge_url")
    @classmethod
    def _websocket(cls, url: str) -> str:
        return websocket(url)
