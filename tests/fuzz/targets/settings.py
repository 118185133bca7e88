"""Settings: what an environment says, line by line as NAME=value, read by every service."""

import os
from collections.abc import Iterable
from unittest import mock

from tests.fuzz.mutation import of_lines
from tests.fuzz.target import Run, Target, Unnamed


def _prepare() -> Run:
    from common.settings import ServiceSettings
    from services.bridge.settings import BridgeSettings
    from services.broadcaster.settings import BroadcasterSettings
    from services.feynman.settings import FeynmanSettings
    from services.market.settings import MarketSettings
    from services.physics.settings import PhysicsSettings
    from services.recorder.settings import RecorderSettings

    services: tuple[type[ServiceSettings], ...] = (
        *(BridgeSettings, BroadcasterSettings, FeynmanSettings, MarketSettings, PhysicsSettings, RecorderSettings),
    )

    def run(data: bytes) -> str:
        lines = [line.partition(b"=") for line in data.split(b"\n")[:40]]
        told = {
            name.decode(errors="surrogateescape").replace("\0", "") or "X": value.decode(
                errors="surrogateescape"
            ).replace("\0", "")
            for name, mark, value in lines
            if mark and b"\0" not in name
        }
        outcome = "taken"
        with mock.patch.dict(os.environ, told, clear=True):
            for service in services:
                for line in service.refusals():
                    _name, mark, why = line.partition(": ")
                    if not (mark and why) or "\n" in line or len(line) > 1000:
                        raise Unnamed(f"no line that names a setting: {line!r}")
                    outcome = "refused"
                list(service.misspelt(told))
                list(service.set_aside(told))
        return outcome

    return run


def _seeds() -> Iterable[bytes]:
    yield b"REDIS_URL=redis://user:secret@localhost:6379/3\nLOG_LEVEL=debug\nSTALE_SECONDS=5\nEXPIRED_SECONDS=50"
    yield b"REDIS_URL=redis+sentinel://a:26379,b:26379/mymaster/0\nBRIDGE_PORT=1e3\nBRIDGE_HOST=0.0.0.0"
    yield b"REDIS_URL=redis+cluster://a:7000,b:7001\nFEYNMAN_SHARD=1/3\nFEYNMAN_SYMBOLS=SPY,brk.b\nFEYNMAN_WINDOW=1_000"
    yield b"ALLOWED_HOSTS=desk.example,*.example\nALLOWED_ORIGINS=https://desk.example\nBROADCASTER_SHARE_PORT=yes"
    yield b"BROADCASTER_TRUSTED_PROXIES=10.0.0.0/8,fd00::/8\nBROADCASTER_BRIDGE_URL=wss://bridge.example:8766/ws"
    yield b"MARKET_SOURCE=replay\nMARKET_FILE=trades.csv\nMARKET_SPEED=max\nMARKET_LOOP=true\nMARKET_ZONE=UTC"
    yield b"RECORDER_DIR=/tmp/record\nRECORDER_ARCHIVE=s3://bucket/prefix\nPHYSICS_PORT=8001\nDRAIN_SECONDS=2"
    yield b"REDIS_PORT=tcp://10.0.0.1:6379\nMARKET_SYMBOLS=none\nMARKET_SEED=7\nMARKET_PRICE=close"


TARGET = Target(
    name="settings",
    about="the environment of a service",
    prepare=_prepare,
    seeds=_seeds,
    covered=("common.settings", "common.web", "cottage", "services"),
    words=(
        *(b"REDIS_URL=", b"redis://", b"rediss://", b"unix://", b"redis+sentinel://", b"redis+cluster://", b"none"),
        *(b"AUTH_SECRET=", b"AUTH_JWKS_FILE=", b"LINK_SECRET=", b"OPS_ALLOW=", b"COTTAGE_ENV=production", b"_FILE="),
        *(
            b"BROADCASTER_",
            b"FEYNMAN_",
            b"MARKET_",
            b"wss://",
            b"[::1]",
            b"%40",
            b"@",
            b":",
            b"/",
            b"*",
            b"\xff",
            b"1e400",
        ),
    ),
    mutate=of_lines,
    longest=8 * 1024,
)
