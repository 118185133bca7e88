import httpx
from prometheus_client import REGISTRY
from starlette.responses import PlainTextResponse

from services.physics.middleware import EdgeMiddleware

INNER = PlainTextResponse("ok", 201, {"X-Inner": "kept"})


async def answer() -> httpx.Response:
    transport = httpx.ASGITransport(app=EdgeMiddleware(INNER))
    async with httpx.AsyncClient(transport=transport, base_url="http://physics") as http:
        return await http.get("/anything")


async def test_every_answer_is_counted_and_not_to_be_stored() -> None:
    labels = {"route": "none", "status": "201"}
    before = REGISTRY.get_sample_value("cottage_physics_requests_total", labels) or 0.0
    response = await answer()
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-inner"] == "kept"
    assert REGISTRY.get_sample_value("cottage_physics_requests_total", labels) == before + 1
