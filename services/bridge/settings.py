"""Settings of the bridge, BRIDGE_…"""

from typing import Annotated, ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from common.auth.link_settings import LinkSettings
from common.settings import Below, FreshnessSettings, Host, Most, Port, RedisSettings, Seconds
from common.tls_settings import TlsSettings


class BridgeSettings(RedisSettings, FreshnessSettings, TlsSettings, LinkSettings):
    model_config = SettingsConfigDict(env_prefix="BRIDGE_")

    host: Host = Field("127.0.0.1", description="address that broadcasters connect to")
    port: Port = Field(8766, description="port that broadcasters connect to")
    ops_port: Port = Field(9104, description="port of /healthz, /readyz, /status, /metrics; 0: any free one")
    reread_seconds: Seconds = Field(30.0, description="seconds between two full reads of all states")
    max_symbols: Most = Field(
        20_000,
        description="states of more symbols than this are dropped, so that a faulty publisher cannot fill the memory",
    )
    silence_seconds: Annotated[Seconds, Field(ge=0.2)] = Field(
        3.0, description="after so many seconds of silence the subscription is tested with a PING"
    )
    # The protocol promises that a server says something every 5 s.
    heartbeat_seconds: Annotated[Seconds, Field(le=5)] = Field(
        1.0, description="seconds between two HEARTBEATs to each broadcaster"
    )

    below: ClassVar[tuple[Below, ...]] = (
        Below("heartbeat_seconds", "silence_seconds", "who hears no HEARTBEAT for so long gives up the connection"),
    )
