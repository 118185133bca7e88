import pytest
from pydantic import ValidationError

from services.physics.settings import PhysicsSettings


def test_defaults_are_those_of_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PHYSICS_HOST", "PHYSICS_PORT", "PHYSICS_OPS_PORT", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    settings = PhysicsSettings()
    assert (settings.host, settings.port, settings.ops_port) == ("127.0.0.1", 8001, 9103)
    assert settings.redis_url == "redis://localhost:6379"
    assert settings.origins == ()


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", ()),
        ("*", ("*",)),
        ("http://localhost:3000, https://desk.example", ("http://localhost:3000", "https://desk.example")),
    ],
)
def test_origins(monkeypatch: pytest.MonkeyPatch, text: str, origins: tuple[str, ...]) -> None:
    monkeypatch.setenv("PHYSICS_ORIGINS", text)
    assert PhysicsSettings().origins == origins


@pytest.mark.parametrize("text", ["localhost:3000", "http://localhost:3000/", "ftp://desk.example", "http://a,b"])
def test_what_is_no_origin_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("PHYSICS_ORIGINS", text)
    with pytest.raises(ValidationError, match="origins such as"):
        PhysicsSettings()
