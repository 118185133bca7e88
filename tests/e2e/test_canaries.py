"""Secrets that are planted wherever there are some, and searched wherever they must not be."""

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from websockets.asyncio.client import connect as websocket
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from common.settings import ServiceSettings
from cottage.redis import connect
from deploy.run_plan import SERVICES, SETTINGS
from tests.e2e.suite import Suite
from tests.support import ROOT, OwnRedis, eventually, plain_http, service

NAMES = ("bridge", "feynman", "market", "recorder", "physics", "broadcaster")
KINDS = {each.name: kind for each, kind in zip(SERVICES, SETTINGS, strict=True)}
LONG = 120.0
"""Seconds: only the end of a wait that does not end."""
PASSWORD = "canary@of/redis:0123456789#%ä"


def canary(name: str) -> str:
    """A secret that says whose it is, of no character that a header could not have."""
    return f"canary-{name.lower().replace('_', '-')}-5f1c9d02b7e84a36"


def planted(kind: type[ServiceSettings]) -> dict[str, str]:
    """All secrets of a service's settings, but where Redis is."""
    names = [name for name in kind.secrets() if not name.endswith("_FILE") and not name.startswith("REDIS_")]
    return {name: canary(name) for name in names}


def forms(secret: str) -> Iterator[bytes]:
    """How a secret may look somewhere."""
    raw = secret.encode()
    yield raw
    yield quote(secret, safe="").encode()
    yield json.dumps(secret)[1:-1].encode()
    yield raw.hex().encode()
    for shift in range(3):  # wherever it stands in what is encoded
        yield base64.b64encode(b"\0" * shift + raw)[4:-4]


def holding(secrets: Iterable[str], places: dict[str, bytes]) -> dict[str, str]:
    """The places that have one of the secrets, in any form, and which."""
    looked_for = [(secret, form) for secret in secrets for form in set(forms(secret))]
    return {place: secret for place, text in places.items() for secret, form in looked_for if form in text}


def command_lines() -> dict[str, bytes]:
    """Of all processes of this machine whose command lines can be read, but Redis's and ours, which planted them."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found[str(path)] = path.read_bytes()
        except OSError:  # it has ended
            continue
    return found


def files_in(*folders: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


async def knocked(running: Suite, token: str) -> list[bytes]:
    """What is answered to somebody who shows a token wherever one can be shown, and where none may be."""
    bearer = {"Authorization": f"Bearer {token}"}
    answers = []
    async with plain_http() as http:
        pages, api = running.page_url, running.api_url
        ops = [await process.ops_url() for process in running.processes.values()]
        paths = [
            f"{pages}ws?token={token}",
            f"{api}/v1/physics/SPY?token={token}",
            f"{api}/v1/history/SPY?last={token}",
        ]
        asked = [*paths, pages, f"{api}/v1/physics/SPY", f"{api}/v1/gaps", *(f"{url}/metrics" for url in ops)]
        for url in asked:
            for headers in (bearer, {"Cookie": token, "X-Api-Key": token}):
                answer = await http.get(url, headers=headers)
                answers += [answer.content, str(answer.headers).encode()]
        with pytest.raises(httpx.HTTPError):  # what a client would say of a header that cannot be
            await http.get(pages, headers={"Authorization": f"Bearer {token}\n"})
    shown: list[tuple[dict[str, str], list[str]]] = [
        (bearer, []),
        ({}, ["cottage.v1", f"bearer.{token}"]),
        ({}, [f"bearer.{token}"]),
        ({"Sec-WebSocket-Protocol": f"bearer.{token} x"}, []),
    ]
    for headers, protocols in shown:
        try:
            async with websocket(
                running.ws_url,
                additional_headers=headers,
                subprotocols=[Subprotocol(each) for each in protocols] or None,
                proxy=None,
            ) as connection:
                await connection.send(json.dumps({"action": "auth", "token": token}))
                answers += [str(connection.subprotocol).encode()]
                async with asyncio.timeout(3):
                    while True:
                        answers.append(await connection.recv(decode=False))
        except (WebSocketException, TimeoutError) as error:
            answers.append(str(error).encode())
    return answers


async def test_no_secret_is_where_others_read(own_redis: OwnRedis, tmp_path: Path) -> None:
    async with connect(own_redis.url) as client:
        await client.config_set("requirepass", PASSWORD)
    file, checkpoints = tmp_path / "password", tmp_path / "checkpoints"
    file.write_text(f"{PASSWORD}\n")
    secrets = {name: value for kind in SETTINGS for name, value in planted(kind).items()}
    archive = {"AWS_ACCESS_KEY_ID": canary("key-id"), "AWS_SECRET_ACCESS_KEY": canary("archive")}
    environment = {
        **secrets,
        **archive,
        "REDIS_PASSWORD_FILE": str(file),
        "FEYNMAN_CHECKPOINT_DIR": str(checkpoints),
        "FEYNMAN_CHECKPOINT_SECONDS": "1",
        "RECORDER_FLUSH_SECONDS": "0.2",
        "LOG_LEVEL": "debug",
    }
    token = canary("a-clients-token")
    encoded = {
        "file": file.read_bytes(),
        "url": quote(PASSWORD, safe="").encode(),
        "base64": base64.b64encode(b"x:" + PASSWORD.encode()),
    }
    assert set(holding([PASSWORD], encoded)) == set(encoded), "what is searched for is found where it is"
    looked_for = [PASSWORD, token, *secrets.values(), *archive.values()]
    async with AsyncExitStack() as stack:
        running = Suite(own_redis.url, environment, stack)
        for name in NAMES:
            await running.start(name)
            await running.processes[name].ready(LONG)
        answers = await knocked(running, token)
        await eventually(lambda: list(checkpoints.rglob("*")) and files_in(running.record), LONG)
        own_redis.suspend()  # errors of all kinds, and their tracebacks
        await running.processes["feynman"].logged("redis_lost", LONG)
        own_redis.resume()
        await running.processes["feynman"].logged("redis_back", LONG)
        async with connect(own_redis.url.replace("://", f"://:{quote(PASSWORD, safe='')}@")) as client:
            await client.config_set("requirepass", "another")
            await client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")
        await running.processes["market"].logged("redis_lost", LONG, kind="RedisRefused")
        places: dict[str, bytes] = {f"answer {number}": answer for number, answer in enumerate(answers)}
        for name, process in running.processes.items():
            for path in ("/status", "/metrics", "/readyz", "/healthz", "/nothing"):
                places[f"{name}{path}"] = (await process.get(path)).content
        places |= await asyncio.to_thread(command_lines)
        for process in running.processes.values():
            await process.kill()
        places |= {f"output of {name}": process.report().encode() for name, process in running.processes.items()}
        places |= await asyncio.to_thread(files_in, running.record, checkpoints)
    assert {"output of feynman", "recorder/status", "broadcaster/metrics"} <= set(places)
    assert any(str(running.record) in place for place in places)
    # What asks for a token may tell its sender what was sent, never others; here nothing is told even so.
    assert holding(looked_for, places) == {}


@pytest.mark.parametrize("name", NAMES)
def test_help_and_errors_show_no_secret(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    secrets = [each for each in kind.secrets() if not each.endswith("_FILE")]
    long, short = {each: canary(each) for each in secrets}, dict.fromkeys(secrets, "canaryä")
    bad_file = tmp_path / "canary"
    bad_file.write_bytes(b"canary\xff")
    cases: list[tuple[list[str], dict[str, str], int]] = [
        (["--help"], long, 0),
        (["--version"], long, 0),
        ([], {**long, "LOG_LEVEL": "canary", "REDIS_URL": "http://canary"}, 2),
        ([], {**short, "DRAIN_SECONDS": "x"}, 2),
        ([], {"REDIS_URL": "redis://:canary@h", "REDIS_PASSWORD": "canary", "DRAIN_SECONDS": "x"}, 2),
        ([], {**{f"{each}_FILE": str(bad_file) for each in secrets}, "DRAIN_SECONDS": "x"}, 2),
        ([f"--{each.lower().replace('_', '-')}=canary" for each in secrets], {}, 2),
        (["canary", "--canary-x", "canary"], {}, 2),
    ]
    for arguments, environment, status in cases:
        done = subprocess.run(
            [sys.executable, "-m", f"services.{name}", *arguments],
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == status, done.stderr
        told = (done.stdout + done.stderr).replace(b"--canary-x", b"")  # the name of a flag is told
        assert b"canary" not in told
        assert b"Traceback" not in told


async def test_a_url_with_a_password_is_told_without_it() -> None:
    secret = quote(PASSWORD, safe="")
    for url in (
        f"redis://me:{secret}@127.0.0.1:1",
        f"redis+sentinel://me:{secret}@127.0.0.1:1,127.0.0.1:2/mymaster?sentinel_password={secret}",
        f"redis+cluster://me:{secret}@127.0.0.1:1",
        f"unix://me:{secret}@/nowhere.sock",
    ):
        async with service("bridge", {"REDIS_URL": url, "BRIDGE_PORT": "0", "LOG_LEVEL": "debug"}) as bridge:
            await bridge.logged("redis_lost", LONG)
            places = {path: (await bridge.get(path)).content for path in ("/status", "/metrics", "/readyz")}
            await bridge.stop()
            assert holding([PASSWORD], {**places, "output": bridge.report().encode()}) == {}
