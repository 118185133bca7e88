"""Settings of the physics API, PHYSICS_…"""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from common.auth.settings import AuthSettings
from common.settings import RECORD_FOLDER, FreshnessSettings, Host, Networks, Origins, Port, RedisSettings, Seconds
from common.tls_settings import TlsSettings


class PhysicsSettings(RedisSettings, FreshnessSettings, AuthSettings, TlsSettings):
    model_config = SettingsConfigDict(env_prefix="PHYSICS_")

    host: Host = Field("127.0.0.1", description="address that the HTTP API listens on")
    port: Port = Field(8001, description="port of the HTTP API")
    ops_port: Port = Field(9103, description="port of /healthz, /readyz, /status, /metrics; 0: any free one")
    timeout_seconds: Seconds = Field(1.0, description="seconds that one query to Redis may take")
    recorder_dir: str = Field(
        RECORD_FOLDER,
        validation_alias="RECORDER_DIR",
        description="folder of the record from which history is read: where the recorder writes it",
    )
    history_seconds: Seconds = Field(
        10.0, description="seconds that a question to the record may take, and may wait for its turn"
    )
    history_mib: Annotated[int, Field(ge=256, le=2**20)] = Field(
        1024, description="MiB of memory that the process has which answers such questions"
    )
    origins: Origins = Field(
        (), description="web origins whose pages may read the API alone, beside ALLOWED_ORIGINS, comma-separated"
    )
    trusted_proxies: Networks = Field(
        (),
        description="addresses and networks of reverse proxies, comma-separated; what they say of their clients' "
        "address and host (X-Forwarded-For, X-Forwarded-Host, Forwarded) is believed",
    )
