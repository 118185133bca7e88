import asyncio
from pathlib import Path

import pytest

from services.physics.history_process import EngineLimits, HistoryProcess
from services.physics.settings import PhysicsSettings


async def test_the_engine_has_no_secret_in_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = ("AWS_SECRET_ACCESS_KEY", "LINK_SECRET", "COTTAGE_TOKEN", "ANYBODYS_TOKEN")
    for name in (*PhysicsSettings.secrets(), *others):
        monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    async with HistoryProcess(str(tmp_path), EngineLimits(5.0, 1024)) as engine:
        process = await engine._started()
        environment = await asyncio.to_thread(Path(f"/proc/{process.pid}/environ").read_bytes)
        assert b"canary" not in environment
        assert b"PYTHONHASHSEED=0" in environment
        assert b"PATH=" in environment
