import httpx
import pytest
from fastapi import FastAPI, Query
from starlette.exceptions import HTTPException

from cottage.errors import InvalidName, NoSuchState, StateUnavailable
from services.physics import problems


@pytest.fixture
def app() -> FastAPI:
    app = FastAPI()
    problems.install(app)
    return app


async def ask(app: FastAPI, path: str = "/") -> httpx.Response:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://physics") as http:
        return await http.get(path)


@pytest.mark.parametrize(
    ("error", "status", "code", "detail"),
    [
        (problems.Refusal(404, "no_such_symbol", "no SPY"), 404, "no_such_symbol", "no SPY"),
        (InvalidName("bad symbol"), 400, "bad_symbol", "bad symbol"),
        (NoSuchState("no SPY"), 404, "no_such_symbol", "no SPY"),
        (StateUnavailable("too old"), 503, "unavailable", "too old"),
        (HTTPException(410), 410, "gone", "GET /"),
        (RuntimeError("secret"), 500, "internal_server_error", "a fault of this service; its log says more"),
    ],
)
async def test_each_error_is_a_problem(app: FastAPI, error: Exception, status: int, code: str, detail: str) -> None:
    async def failing() -> None:
        raise error

    app.add_api_route("/", failing)
    response = await ask(app)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert ("retry-after" in response.headers) == (status == 503)
    body = response.json()
    assert isinstance(body.pop("title"), str)
    assert body == {"type": "about:blank", "status": status, "code": code, "detail": detail, "instance": "/"}


async def test_validation_names_the_parameter(app: FastAPI) -> None:
    async def limited(limit: int = Query(ge=0)) -> None:
        raise AssertionError("not to be called")

    app.add_api_route("/", limited)
    body = (await ask(app, "/?limit=x")).json()
    assert (body["status"], body["code"]) == (422, "bad_parameter")
    assert body["detail"].startswith("query.limit: ")


async def test_the_instance_is_a_uri_whatever_was_asked_for(app: FastAPI) -> None:
    body = (await ask(app, "/%22%3Cscript%3E/%F0%9F%92%A9?token=secret")).json()
    assert body["instance"] == "/%22%3Cscript%3E/%F0%9F%92%A9"


async def test_a_long_path_is_not_repeated_at_length(app: FastAPI) -> None:
    assert len((await ask(app, "/" + "x" * 5000)).json()["detail"]) <= 200
