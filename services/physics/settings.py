"""Settings of the physics API, PHYSICS_…"""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode, SettingsConfigDict

from common.settings import FreshnessSettings, Port, RedisSettings, Seconds


def _origins(value: object) -> object:
    if not isinstance(value, str):
        return value
    origins = tuple(part.strip() for part in value.split(",") if part.strip())
    for origin in origins:
        parts = urlsplit(origin)
        if origin != "*" and (parts.scheme not in ("http", "https") or f"{parts.scheme}://{parts.netloc}" != origin):
            raise ValueError("must be * or origins such as http://localhost:3000, comma-separated, without a path")
    return origins


class PhysicsSettings(RedisSettings, FreshnessSettings):
    model_config = SettingsConfigDict(env_prefix="PHYSICS_")

    host: str = Field("127.0.0.1", description="address that the HTTP API listens on")
    port: Port = Field(8001, description="port of the HTTP API")
    ops_port: Port = Field(9103, description="port of /healthz, /readyz, /status, /metrics; 0: any free one")
    timeout_seconds: Seconds = Field(1.0, description="seconds that one query to Redis may take")
    # Closed by default: any web page that its user opens could otherwise read what this machine watches.
    # Pages have the WebSocket; a notebook in a browser gets its origin listed here.
    origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)] = Field(
        (), description="web origins whose pages may read the API (CORS), comma-separated; * is all, empty is none"
    )
