"""`cottage watch` on a real pseudo-terminal and into real pipes, at a real bridge and broadcaster."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from cottage import keys
from cottage.clock import iso_millis
from cottage.protocol import Close
from cottage.redis import Client
from cottage.state import PhysicsState
from cottage.version import Version
from deploy.redis_server import free_port
from services.bridge import reconciler
from tests.cottage.cli.terminal import Terminal, terminal
from tests.integration.fanout import beat, bridging, broadcasting, write
from tests.one_kind import on_one_kind
from tests.support import ROOT, ServiceProcess, eventually, program

pytestmark = pytest.mark.usefixtures("no_debug")  # what is tried is another process

pytest_generate_tests = on_one_kind  # `cottage watch` is two processes away from it

WATCH = ["-m", "cottage", "watch"]
NO_RICH = "import sys; sys.modules['rich'] = None; from cottage.cli import main; sys.exit(main(sys.argv[1:]))"
MAIN_SCREEN = b"\x1b[?1049l"
CURSOR = b"\x1b[?25h"


async def put(client: Client, symbol: str, seq: int = 1, **fields: Any) -> None:
    """A state whose sample is of now, from a feed that need not say that it lives."""
    now = iso_millis(await client.now())
    known: dict[str, Any] = {"regime": "Gaussian", "price": 450.0, "source": "myfeed", **fields}
    state = PhysicsState(0.42, -1.234, 0.15, 0.08, 0.05, alpha_coefficient=2.8, timestamp=now, **known)
    await write(client, symbol, state.at(Version(1, seq)))


@asynccontextmanager
async def beating(client: Client) -> AsyncIterator[None]:
    """Feynman is heard meanwhile."""

    async def beats() -> None:
        while True:
            await beat(client)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(beats())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


@pytest.fixture(autouse=True)
def impatient_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bridge looks twice at what Redis does not have any more; here the second look follows soon."""
    monkeypatch.setattr(reconciler, "LOOKS_APART_SECONDS", 0.5)


@pytest.fixture
async def bridge_port(redis_url: str, client: Client) -> AsyncIterator[int]:
    port = free_port()
    async with bridging(redis_url, port), beating(client):
        yield port


@pytest.fixture
async def url(bridge_port: int) -> AsyncIterator[str]:
    port = free_port()
    async with broadcasting(bridge_port, port):
        yield f"ws://127.0.0.1:{port}/ws"


def table_rows(screen: list[str]) -> dict[str, list[str]]:
    """The cells of each row, by symbol."""
    return {line.split()[0]: re.split(r" {2,}", line.strip()) for line in screen[4:] if line.split()}


async def test_a_table_shows_states_and_how_far_they_may_be_trusted(client: Client, url: str) -> None:
    await put(client, "SPY", price=1234.5)
    await put(client, "WAITS", regime="WAIT", nonzero=23)
    async with terminal([*WATCH, "--url", url], columns=150) as shown:
        screen = await shown.shows("connected", url, "2 symbols: 2 live", "SPY", "23 of 64")
        rows = table_rows(screen)
        assert rows["SPY"][1] == "1,234.50"
        assert rows["SPY"][3:] == ["live", "Gaussian", "2.80", "0.42", "-1.23", "0.15", "0.08", "0.05", "myfeed"]
        assert rows["WAITS"][4] == "WAIT 23 of 64"
        await put(client, "SPY", 2, price=1300.25)
        await shown.shows("1,300.25", without="1,234.50")
        await client.delete(keys.physics_state("WAITS"))
        await shown.shows("1 symbol", without="WAITS")


async def test_ages_grow_though_nothing_comes_and_a_lost_server_is_said(client: Client, bridge_port: int) -> None:
    port = free_port()
    await put(client, "SPY")
    async with terminal([*WATCH, "SPY,NONE", "--url", f"ws://127.0.0.1:{port}/ws"]) as shown:
        await shown.shows("connecting", "Connect call failed")
        async with broadcasting(bridge_port, port):
            rows = table_rows(await shown.shows("SPY", "live", "no state"))
            assert "NONE" in rows
        first = age_of_spy(shown)
        await eventually(lambda: age_of_spy(shown) > first)
        await shown.shows("reconnecting", "stale: server down")
        assert b"\x1b[2m\x1b[33mSPY" in shown.output or b"\x1b[2;33mSPY" in shown.output, "dim and yellow"
        await put(client, "SPY", 2, price=500.0)
        async with broadcasting(bridge_port, port):
            await shown.shows("connected", "live", "500.00", without="server down")


def age_of_spy(shown: Terminal) -> float:
    return float(table_rows(shown.screen())["SPY"][2].removesuffix(" s"))


async def test_a_broken_hop_is_named(redis_url: str, client: Client) -> None:
    bridge_port, port = free_port(), free_port()
    await put(client, "SPY")
    async with (
        bridging(redis_url, bridge_port, STALE_SECONDS=0.5),
        broadcasting(bridge_port, port),
        terminal([*WATCH, "--url", f"ws://127.0.0.1:{port}/ws"]) as shown,
    ):
        await shown.shows("the writer is down", "stale: writer down")
        async with beating(client):
            await shown.shows("stale: market quiet", without="the writer is down")


async def test_a_long_table_is_cut_to_the_terminal(client: Client, url: str) -> None:
    for number in range(30):
        await put(client, f"S{number:02}")
    async with terminal([*WATCH, "--url", url], columns=80, lines=12) as shown:
        screen = await shown.shows("30 symbols", "and 23 more; a wider terminal shows α 90 %, mass")
        assert len(screen) == 12
        assert max(map(len, screen)) <= 80
        assert list(table_rows(screen))[:-1] == [f"S0{number}" for number in range(7)]
        shown.resize(150, 40)
        await shown.shows("S29", "nash_dist", "source", without="more")


@pytest.mark.parametrize("end", ["ctrl-c", "sigterm"])
async def test_it_leaves_the_terminal_as_it_was(client: Client, url: str, end: str) -> None:
    async with terminal([*WATCH, "--url", url]) as shown:
        await shown.shows("no states yet")
        if end == "ctrl-c":
            shown.type(b"\x03")
        else:
            shown.signal(signal.SIGTERM)
        assert await shown.ended() == 0
        left = shown.output.rpartition(MAIN_SCREEN)
        assert left[1], "the screen of its own is closed"
        assert CURSOR in left[0].rpartition(b"\x1b[H")[2] + left[2], "the cursor is back"
        assert b"Traceback" not in left[2]


async def test_it_is_stopped_while_there_is_no_server() -> None:
    async with terminal([*WATCH, "--url", f"ws://127.0.0.1:{free_port()}/ws"]) as shown:
        await shown.shows("connecting", "Connect call failed", "waiting for the server")
        shown.type(b"\x03")
        assert await shown.ended() == 0


@asynccontextmanager
async def watching(url: str, *arguments: str) -> AsyncIterator[ServiceProcess]:
    """Its JSON lines are `logs`."""
    async with program([*WATCH, *arguments], {"COTTAGE_URL": url}) as running:
        yield running


async def test_once_prints_the_whole_table_without_a_terminal(client: Client, url: str) -> None:
    for number in range(60):
        await put(client, f"S{number:02}")
    async with watching(url, "--once") as running:
        assert await running.ended() == 0
        assert running.errors == []
        assert "60 symbols: 60 live" in running.text[0]
        assert len(table_rows(running.text)) == 60
        assert "nash_dist" in running.text[2]
        assert "\x1b" not in "".join(running.text)


async def test_once_as_lines_says_what_is_missing_too(client: Client, url: str) -> None:
    await put(client, "SPY")
    async with watching(url, "--once", "--json", "NONE", "SPY") as running:
        assert await running.ended() == 0
        none, spy = running.logs
        assert none == {"symbol": "NONE", "state": None, "freshness": "missing", "cause": None, "age": None}
        assert (spy["symbol"], spy["freshness"], spy["cause"]) == ("SPY", "live", None)
        assert spy["age"] >= 0
        assert {"alpha": 2.8, "regime": "Gaussian", "epoch": 1, "seq": 1}.items() <= spy["state"].items()
        assert spy["state"]["timestamp"].endswith("Z")


async def test_once_ends_where_there_is_no_server() -> None:
    url = f"ws://user:secret@127.0.0.1:{free_port()}/ws"
    async with watching(url, "--once", "--timeout", "0.5") as running:
        assert await running.ended() == 1
        (line,) = running.errors
        assert "does not tell its states within 0.5 s: " in line
        assert "Connect call failed" in line
        assert "secret" not in line


async def test_lines_tell_each_change_of_state_and_of_freshness(client: Client, bridge_port: int) -> None:
    port = free_port()
    await put(client, "SPY")
    async with watching(f"ws://127.0.0.1:{port}/ws", "SPY", "QQQ") as running:
        async with broadcasting(bridge_port, port):
            await told(running, symbol="SPY", freshness="live", cause=None)
            await told(running, symbol="QQQ", freshness="missing", state=None)
            await put(client, "QQQ")
            await told(running, symbol="QQQ", freshness="live")
            await client.delete(keys.physics_state("QQQ"))
            await eventually(lambda: running.logs[-1]["symbol"] == "QQQ" and running.logs[-1]["state"] is None)
            before = len(running.logs)
            await put(client, "SPY", 2, price=451.0)
            await eventually(lambda: len(running.logs) > before)
            assert running.logs[-1]["state"]["price"] == 451.0
        line = await told(running, symbol="SPY", freshness="stale", cause="server_down")
        assert line["state"]["price"] == 451.0
    assert any(line.startswith("cottage: reconnecting: ") for line in running.errors)
    assert running.text == []


async def test_a_dead_feed_is_said_in_words(client: Client, bridge_port: int) -> None:
    port = free_port()
    for symbol in ("SPY", "QQQ"):
        await put(client, symbol, source="simulate")
    async with broadcasting(bridge_port, port), watching(f"ws://127.0.0.1:{port}/ws", "--json") as running:
        words = "cottage: connected: the feed is down: it has stopped saying that it lives (2 of simulate)"
        await eventually(lambda: words in running.errors)


async def told(running: ServiceProcess, **fields: Any) -> dict[str, Any]:
    """The first line with these fields, waited for."""
    return await eventually(lambda: next((line for line in running.logs if fields.items() <= line.items()), {}))


async def in_shell(command: str, url: str) -> tuple[list[str], str]:
    """What `cottage watch COMMAND` prints, and then the statuses of its pipe; and its errors."""
    shell = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        f"{sys.executable} -m cottage watch {command}; echo ${{PIPESTATUS[@]}}",
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "COTTAGE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, errors = await shell.communicate()
    return out.decode().splitlines(), errors.decode()


async def test_a_closed_pipe_ends_it_quietly(client: Client, url: str) -> None:
    await put(client, "SPY")
    talking = asyncio.create_task(in_shell("SPY --json | head -1", url))
    seq = 1
    while not talking.done():  # it learns of it with the next line
        seq += 1
        await put(client, "SPY", seq)
        await asyncio.wait((talking,), timeout=0.2)
    (line, statuses), errors = talking.result()
    assert json.loads(line)["symbol"] == "SPY"
    assert (statuses, errors) == ("0 0", "")
    assert await in_shell("--once | true", url) == (["0 0"], "")


async def test_lines_end_with_ctrl_c(client: Client, url: str) -> None:
    await put(client, "SPY")
    async with watching(url) as running:
        await told(running, symbol="SPY")
        running.signal(signal.SIGINT)
        assert await running.ended() == 0
        assert running.errors == []


async def test_a_server_that_refuses_it_for_good_ends_it() -> None:
    async def refuse(connection: ServerConnection) -> None:
        await connection.close(Close.POLICY)

    async with serve(refuse, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/ws"
        for arguments in ([], ["--once"]):
            async with watching(url, *arguments) as running:
                assert await running.ended() == 1
                assert running.errors[-1] == f"cottage: {url} closed the connection for good (1008)"


async def test_without_rich_it_says_what_to_install_and_lines_still_work(client: Client, url: str) -> None:
    await put(client, "SPY")
    async with program(["-c", NO_RICH, "watch", "--once", "--url", url]) as running:
        assert await running.ended() == 2
        (line,) = running.errors
        assert "pip install 'curiosity-cottage[terminal]'" in line
    async with program(["-c", NO_RICH, "watch", "--once", "--json", "--url", url]) as running:
        assert await running.ended() == 0
        assert [line["symbol"] for line in running.logs] == ["SPY"]
