"""The oldest and the newest versions that pyproject.toml allows do what the library promises."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.e2e.suite import Suite
from tests.packaging.environments import Environment
from tests.support import ROOT

CHECK = Path(__file__).with_name("check.py").read_text()


def bounds() -> dict[str, str]:
    """The oldest version of each library."""
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    found = [re.fullmatch(r"([a-z]+)>=([0-9.]+)", each) for each in required]
    assert all(found), f"not only lower bounds: {required}"
    return {each[1]: each[2] for each in found if each is not None}


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the oldest orjson is older than this Python")
@pytest.mark.parametrize("versions", ["oldest", "newest"])
async def test_it_does_what_it_promises(versions: str, wheel: Path, tmp_path: Path, running: Suite) -> None:
    made = Environment(tmp_path / "venv")
    pins = [f"{name}=={bound}" for name, bound in bounds().items()] if versions == "oldest" else []
    made.install("--only-binary", ":all:", str(wheel), *pins)
    assert "all is well" in await made.run(CHECK, tmp_path, arguments=(running.redis_url, running.ws_url))
