import httpx
import pytest
from prometheus_client import REGISTRY
from starlette.responses import PlainTextResponse

from services.physics.middleware import EdgeMiddleware

INNER = PlainTextResponse("ok", 201, {"X-Inner": "kept"})


async def answer(origins: tuple[str, ...], headers: dict[str, str] | None = None) -> httpx.Response:
    transport = httpx.ASGITransport(app=EdgeMiddleware(INNER, origins))
    async with httpx.AsyncClient(transport=transport, base_url="http://physics") as http:
        return await http.get("/anything", headers=headers)


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        ((), "https://desk.example", None),
        (("*",), "https://desk.example", "*"),
        (("https://desk.example",), "https://desk.example", "https://desk.example"),
        (("https://desk.example",), "https://evil.example", None),
        (("https://desk.example",), None, None),
    ],
)
async def test_which_pages_may_read(origins: tuple[str, ...], origin: str | None, allowed: str | None) -> None:
    response = await answer(origins, None if origin is None else {"Origin": origin})
    assert response.headers.get("access-control-allow-origin") == allowed
    # A shared cache must not give one origin's answer to another.
    assert ("vary" in response.headers) == (origins not in ((), ("*",)))


async def test_every_answer_is_counted_and_not_to_be_stored() -> None:
    labels = {"route": "none", "status": "201"}
    before = REGISTRY.get_sample_value("cottage_physics_requests_total", labels) or 0.0
    response = await answer(())
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-inner"] == "kept"
    assert REGISTRY.get_sample_value("cottage_physics_requests_total", labels) == before + 1
