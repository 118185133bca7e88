"""What a client does with its tokens. What it shares with cottage.js is in tests/transcripts."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import orjson
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from cottage.client.replica import Phase
from cottage.client.state_client import ClientRefused, ClientUnauthorized, StateClient
from cottage.client.tokens import NoToken, Tokens, checked, end_of, reason_word
from cottage.errors import SettingsError
from cottage.protocol import MAX_TOKEN_BYTES
from cottage.token_file import TokenFile
from tests.common.fanout.wires import snapshot, update
from tests.support import eventually

CANARY = "eyJ0.Canary-token_4711.c2ln"
Script = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def server(script: Script, process_request: object = None) -> AsyncIterator[str]:
    async with serve(script, "127.0.0.1", 0, process_request=process_request) as running:  # type: ignore[arg-type]
        yield f"ws://127.0.0.1:{next(iter(running.sockets)).getsockname()[1]}/ws"


async def serving(connection: ServerConnection) -> None:
    await connection.send(snapshot(update("A", 1, 1)).decode())
    await connection.wait_closed()


def authorized(connection: ServerConnection) -> str | None:
    assert connection.request is not None
    return connection.request.headers.get("Authorization")


@pytest.mark.parametrize("token", ["a b", "a\n", "ä", "x" * (MAX_TOKEN_BYTES + 1), 7, b"x"])
def test_what_can_be_no_token_is_refused_and_not_shown(token: object) -> None:
    with pytest.raises(NoToken) as error:
        checked(token)
    assert str(token)[:20] not in str(error.value).partition(", not ")[0]


@pytest.mark.parametrize(
    "token", ["", "a", "a.b", "a.%%.c", "a.e30.c", "a.W10.c", "a.eyJleHAiOiJ4In0.c", "a.eyJleHAiOnRydWV9.c"]
)
def test_a_token_that_does_not_say_when_it_ends(token: str) -> None:
    assert end_of(token) is None


def test_the_end_is_read_from_the_claims() -> None:
    assert end_of("e30.eyJleHAiOjE3NjcyMjU3MDB9.c2ln") == 1767225700


@pytest.mark.parametrize(("said", "word"), [("expired", "expired"), ("", "bad"), ("A b", "bad"), ("x" * 33, "bad")])
def test_a_reason_is_a_word(said: str, word: str) -> None:
    assert reason_word(said) == word


async def test_it_is_shown_in_a_header_and_nowhere_else(caplog: pytest.LogCaptureFixture) -> None:
    """Also where a program logs all that websockets says."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("websockets").setLevel(logging.DEBUG)
    asked: list[str] = []

    async def script(connection: ServerConnection) -> None:
        assert connection.request is not None
        asked.append(connection.request.path)
        assert authorized(connection) == f"Bearer {CANARY}"
        await serving(connection)

    async with server(script) as url, asyncio.timeout(10), StateClient.connect(url, token=CANARY) as client:
        await client.synced()
        assert CANARY not in repr(client) + repr(vars(client)) + repr(client._tokens)
    assert asked == ["/ws"]
    ours = [line for line in caplog.records if line.name != "websockets.server"]
    assert CANARY not in " ".join(line.getMessage() for line in ours)


async def test_a_text_that_was_refused_ends_it() -> None:
    dialled = 0

    async def script(connection: ServerConnection) -> None:
        nonlocal dialled
        dialled += 1
        await connection.close(4401, "expired")

    async with server(script) as url, StateClient.connect(url, token=CANARY) as client, asyncio.timeout(10):
        with pytest.raises(ClientUnauthorized, match="expired") as error:
            await client.synced()
        assert error.value.reason == "expired"
        assert CANARY not in str(error.value)
        assert client.phase is Phase.UNAUTHORIZED
        with pytest.raises(ClientRefused):
            await anext(client.changes())
        assert dialled == 1


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_a_callback_is_asked_at_each_connection(asynchronous: bool) -> None:
    given = iter(["one", "two", "three"])
    shown: list[str | None] = []

    async def script(connection: ServerConnection) -> None:
        shown.append(authorized(connection))
        if len(shown) < 3:
            await connection.close(4401, "denied")
        await serving(connection)

    async def later() -> str:
        return next(given)

    token = later if asynchronous else given.__next__
    async with server(script) as url, StateClient.connect(url, token=token) as client, asyncio.timeout(10):
        await client.synced()
    assert shown == ["Bearer one", "Bearer two", "Bearer three"]


async def test_401_counts_like_4401() -> None:
    shown: list[str | None] = []

    def judge(connection: ServerConnection, request: Request) -> Response | None:
        shown.append(request.headers.get("Authorization"))
        if shown[-1] == "Bearer good":
            return None
        return connection.respond(HTTPStatus.UNAUTHORIZED, "the token is refused: expired\n")

    given = iter(["old", "good", "old", "old"])
    async with server(serving, judge) as url, asyncio.timeout(10):
        async with StateClient.connect(url, token=given.__next__) as client:
            await client.synced()
        assert shown == ["Bearer old", "Bearer good"]
        async with StateClient.connect(url, token=given.__next__) as client:
            with pytest.raises(ClientUnauthorized, match=r"\(expired\)"):
                await client.synced()
        assert len(shown) == 4, "the same token twice"


async def test_no_redirect_takes_the_token_along() -> None:
    shown: list[str | None] = []

    async def other(connection: ServerConnection) -> None:
        shown.append(authorized(connection))
        await serving(connection)

    async with server(other) as elsewhere:

        def redirect(connection: ServerConnection, _request: Request) -> Response:
            response = connection.respond(HTTPStatus.FOUND, "there\n")
            response.headers["Location"] = elsewhere
            return response

        connecting = server(serving, redirect)
        async with connecting as url, asyncio.timeout(10), StateClient.connect(url, token=CANARY) as client:
            assert "302" in (await eventually(lambda: client.problem) or "")
    assert shown == []


async def test_what_a_callback_raises_is_not_told_and_it_is_asked_again() -> None:
    asked = 0

    def give() -> str:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise OSError(CANARY)
        return "good"

    async with server(serving) as url, StateClient.connect(url, token=give) as client, asyncio.timeout(10):
        assert await eventually(lambda: client.problem) == "the callback for the token raised OSError"
        await client.synced()
        assert client.problem is None


async def test_a_token_in_the_url_is_refused() -> None:
    with pytest.raises(ValueError, match="token") as error:
        async with StateClient.connect(f"ws://127.0.0.1:1/ws?token={CANARY}"):
            pass
    assert CANARY not in str(error.value)


async def test_a_file_that_was_replaced_renews_the_connection(tmp_path: Path) -> None:
    file, said = tmp_path / "token", asyncio.Event()
    file.write_text("first\n")
    asked: list[dict[str, object]] = []

    async def script(connection: ServerConnection) -> None:
        assert authorized(connection) == "Bearer first"
        await connection.send(snapshot(update("A", 1, 1)).decode())
        async for frame in connection:
            asked.append(orjson.loads(frame))
            answer = {"event": "ACK", "action": "auth", "symbols": ["*"], "expires": None, "id": asked[-1].get("id")}
            await connection.send(orjson.dumps(answer).decode())
            said.set()

    async with server(script) as url, asyncio.timeout(10), StateClient.connect(url, token=TokenFile(file)) as client:
        await client.synced()
        client.renew()
        await asyncio.sleep(0.1)
        assert asked == [], "the same token is not sent again"
        file.write_text("second")
        client.renew()
        await said.wait()
        assert [(each["action"], each["token"]) for each in asked] == [("auth", "second")]


@pytest.mark.parametrize("content", [None, "", "\n", "a b", "a\nb\n", "x" * (MAX_TOKEN_BYTES + 1), "ä"])
def test_a_file_without_a_token(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SettingsError, match="token's file") as error:
        TokenFile(file)()
    assert not content or content.strip() == "" or content not in str(error.value)


def test_a_token_in_the_place_of_its_file_is_not_shown() -> None:
    file = TokenFile(CANARY)
    with pytest.raises(SettingsError, match="No such file") as error:
        file()
    assert "Canary" not in str(error.value) + repr(file)


def test_renewal_is_spread_and_by_the_steady_clock() -> None:
    ended = []
    for _ in range(200):
        tokens = Tokens(lambda: "e30.eyJleHAiOjE3NjcyMjU3MDB9.c2ln")
        tokens.dialled("e30.eyJleHAiOjE3NjcyMjU3MDB9.c2ln")
        tokens.heard({}, 1767225700 - 3600, 50.0)
        assert tokens.left(50.0) == 3600
        due = next(second for second in range(3600) if tokens.due(50.0 + second))
        ended.append(3600 - due)
    assert 59 <= min(ended) < 75
    assert 105 < max(ended) <= 121
