"""StateClient before a real broadcaster that asks for tokens: allowed symbols, renewal in-band, and refusals."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from cottage.cli import watch
from cottage.cli.arguments import parse
from cottage.cli.lines import JsonLines
from cottage.client.replica import Phase
from cottage.client.state_client import ClientUnauthorized, StateClient
from cottage.client.tokens import TokenSource
from cottage.probe import Unhealthy, probe
from cottage.redis import Client
from cottage.token_file import TokenFile
from deploy.redis_server import free_port
from services.broadcaster.settings import BroadcasterSettings
from tests.integration.fanout import beat, bridging, broadcasting, state, write_all
from tests.support import eventually

pytestmark = pytest.mark.skipif(
    not hasattr(BroadcasterSettings, "authentication"), reason="did NOT run: this broadcaster asks nobody for a token"
)
SECRET = "a secret of the tests, of 32 bytes and more"  # of these tests alone


def minted(*symbols: str, seconds: float = 600, sub: str = "desk") -> str:
    now = int(time.time())
    claims = {"sub": sub, "aud": "cottage", "exp": int(now + seconds), "jti": uuid.uuid4().hex, "symbols": [*symbols]}
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET))


@asynccontextmanager
async def asking(client: Client, redis_url: str) -> AsyncIterator[str]:
    """The URL of a broadcaster that asks for tokens, with three states behind it."""
    await write_all(client, {name: state(1, 1) for name in ("SPY", "QQQ", "BTC-USD")})
    await beat(client)
    bridge, port = free_port(), free_port()
    async with bridging(redis_url, bridge), broadcasting(bridge, port, AUTH_SECRET=SECRET):
        yield f"ws://127.0.0.1:{port}/ws"


@asynccontextmanager
async def connected(url: str, token: TokenSource | None, *symbols: str) -> AsyncIterator[StateClient]:
    async with StateClient.connect(url, symbols=symbols or None, token=token) as client, asyncio.timeout(20):
        yield client


async def test_a_token_says_which_states_come_and_a_new_one_changes_that(
    client: Client, redis_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(minted("SPY", "BTC-*"))
    async with asking(client, redis_url) as url, connected(url, TokenFile(file)) as subject:
        await subject.synced()
        assert set(subject.states) == {"SPY", "BTC-USD"}
        left = subject.token_left
        assert left is not None
        assert 550 < left <= 600
        file.write_text(minted("SPY", seconds=1200))
        subject.renew()
        await eventually(lambda: set(subject.states) == {"SPY"})
        assert [(await anext(subject.events()))["event"]] == ["REVOKED"]
        file.write_text(minted("*"))
        subject.renew()
        await eventually(lambda: set(subject.states) == {"SPY", "QQQ", "BTC-USD"})
        file.write_text(minted("*", sub="another"))
        subject.renew()
        refused = await anext(subject.events())
        assert (refused["event"], refused["code"]) == ("ERROR", "bad_token")
        assert len(subject.states) == 3


async def test_a_name_that_is_not_allowed_is_told_and_followed_once_it_is(
    client: Client, redis_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(minted("SPY"))
    async with asking(client, redis_url) as url, connected(url, TokenFile(file), "SPY", "QQQ", "NONE") as subject:
        await subject.synced()
        refused = await anext(subject.events())
        assert (refused["code"], refused["symbols"]) == ("not_allowed", ["NONE", "QQQ"])
        assert (set(subject.states), subject.missing) == ({"SPY"}, set())
        file.write_text(minted("*"))
        subject.renew()
        await eventually(lambda: set(subject.states) == {"SPY", "QQQ"} and subject.missing == {"NONE"})


async def test_of_one_request_what_is_allowed_is_followed_and_the_rest_is_told(
    client: Client, redis_url: str
) -> None:
    async with asking(client, redis_url) as url, connected(url, minted("SPY", "BTC-*"), "SPY") as subject:
        await subject.synced()
        await subject.subscribe(["QQQ", "BTC-USD", "BTC-NONE", "NONE"])
        refused = await anext(subject.events())
        assert (refused["code"], refused["symbols"]) == ("not_allowed", ["NONE", "QQQ"])
        await eventually(lambda: set(subject.states) == {"SPY", "BTC-USD"} and subject.missing == {"BTC-NONE"})
        await subject.subscribe(["OTHER"])
        assert (await anext(subject.events()))["symbols"] == ["OTHER"]
        await eventually(lambda: subject.phase is Phase.CONNECTED)
        assert subject.missing == {"BTC-NONE"}


async def test_commands_say_what_to_do(
    client: Client, redis_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "token"
    expired = minted("*", seconds=-60)
    async with asking(client, redis_url) as url, asyncio.timeout(60):

        async def watched(*arguments: str, **environment: str) -> None:
            given = parse(["watch", "--once", "--json", "--url", url, *arguments], environment)
            await watch._watch(given, JsonLines)

        with pytest.raises(Unhealthy, match=r"within 1 s; if it asks for a token, give one with --token-file"):
            await watched("--timeout", "1")
        file.write_text(expired)
        with pytest.raises(Unhealthy, match=r"\(expired\); give a new one with --token-file"):
            await watched("--timeout", "20", "--token-file", str(file))
        with pytest.raises(Unhealthy, match=r"\(expired\); give a new one with --token-file"):
            await watched("--timeout", "20", COTTAGE_TOKEN=expired)
        with pytest.raises(Unhealthy, match=r"expired.*; give a new token"):
            await probe(url, full=False, token=expired)
        file.write_text(minted("SPY"))
        await watched("--timeout", "20", "SPY,QQQ", "--token-file", str(file))
    shown = capsys.readouterr()
    assert shown.err == "cottage: not told of QQQ: the token does not name these symbols\n"
    assert '"symbol":"SPY"' in shown.out
    assert "450" not in shown.out.partition('"symbol":"QQQ"')[2]


async def test_an_expired_token_ends_it_and_a_short_one_is_renewed(client: Client, redis_url: str) -> None:
    async with asking(client, redis_url) as url:
        async with connected(url, minted("*", seconds=-60)) as subject:
            with pytest.raises(ClientUnauthorized, match="expired"):
                await subject.synced()
        async with connected(url, None) as subject:
            with pytest.raises(ClientUnauthorized, match="missing"):
                await subject.synced()
        given: list[str] = []

        def token() -> str:
            given.append(minted("SPY", seconds=4))
            return given[-1]

        async with connected(url, token) as subject:
            await subject.synced()
            await eventually(lambda: len(given) >= 3, 15)
            assert subject.problem is None, "the connection went on"
            assert set(subject.states) == {"SPY"}
