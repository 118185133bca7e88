"""`make table` and `make probe` find the run of this folder."""

from pathlib import Path

from deploy.cottage_here import settings_here
from deploy.run_directory import write_urls
from deploy.run_plan import make_plan
from tests.certificates import Authority
from tests.deploy.test_run_plan import ANY
from tests.support import program, service


async def probed(folder: Path, **environment: str) -> str:
    """The one line that `make probe` says where nobody listens."""
    env = {"RUN_DIR": str(folder), **environment}
    async with program(["-m", "deploy.cottage_here", "probe"], env) as running:
        assert await running.ended() == 1
        (line,) = running.errors
        return line


async def test_the_run_is_asked_unless_an_address_is_given(tmp_path: Path) -> None:
    write_urls(tmp_path, {"WEBSOCKET_URL": "ws://127.0.0.1:1/ws", "REDIS_URL": "redis://127.0.0.1:1"})
    assert "ws://127.0.0.1:1/ws" in await probed(tmp_path)
    assert "ws://127.0.0.1:2/ws" in await probed(tmp_path, COTTAGE_URL="ws://127.0.0.1:2/ws")


async def test_a_run_that_speaks_tls_is_asked_over_tls(tmp_path: Path) -> None:
    """By the URLs that its plan has, whose certificate is in SSL_CERT_FILE as for all commands."""
    chosen = {"BROADCASTER_TLS_CERT_FILE": "/x", "PHYSICS_TLS_CERT_FILE": "/x"}
    plan = make_plan({**ANY, **chosen})
    write_urls(tmp_path, plan.urls)
    assert plan.urls["WEBSOCKET_URL"] in await probed(tmp_path)
    async with program(["-m", "deploy.cottage_here", "gaps"], {"RUN_DIR": str(tmp_path)}) as running:
        assert await running.ended() == 1
        assert plan.urls["API_URL"].partition("/v1")[0] in running.errors[0]
    authority = Authority(tmp_path)
    pair = authority.issue()
    settings = {"BROADCASTER_TLS_CERT_FILE": pair.certificate, "BROADCASTER_TLS_KEY_FILE": pair.key}
    async with service("broadcaster", {"BROADCASTER_PORT": "0", **settings}) as broadcaster:
        port = (await broadcaster.logged("listening"))["port"]
        write_urls(tmp_path, {"WEBSOCKET_URL": f"wss://localhost:{port}/ws"})
        trusting = {"RUN_DIR": str(tmp_path), "SSL_CERT_FILE": str(authority.path)}
        async with program(["-m", "deploy.cottage_here", "probe"], trusting) as running:
            assert await running.ended() == 0, running.errors
        assert "certificate verify failed" in await probed(tmp_path)


async def test_the_api_of_the_run_is_asked_too(tmp_path: Path) -> None:
    write_urls(tmp_path, {"API_URL": "http://127.0.0.1:1/v1/physics"})
    for environment, asked in (({}, "127.0.0.1:1/v1"), ({"COTTAGE_API_URL": "http://127.0.0.1:2"}, "127.0.0.1:2:")):
        env = {"RUN_DIR": str(tmp_path), **environment}
        async with program(["-m", "deploy.cottage_here", "gaps"], env) as running:
            assert await running.ended() == 1
            assert f"cottage: http://{asked}" in running.errors[0]


async def test_a_run_that_is_gone_is_not_asked(tmp_path: Path) -> None:
    (tmp_path / "urls.env").write_text("WEBSOCKET_URL=ws://127.0.0.1:1/ws\nRUN_PID=0\n")
    assert "ws://127.0.0.1:3/ws" in await probed(tmp_path, COTTAGE_URL="ws://127.0.0.1:3/ws")
    async with program(
        ["-m", "deploy.cottage_here", "watch", "--once", "--timeout", "0"], {"RUN_DIR": str(tmp_path)}
    ) as run:
        assert await run.ended() == 1
        assert "ws://127.0.0.1:8765/ws" in run.errors[0]


def test_the_redis_of_the_run_comes_with_its_own_user_and_password() -> None:
    found = {"REDIS_URL": "redis://me:x@h"}
    beside = {"REDIS_USERNAME": "you", "REDIS_PASSWORD_FILE": "/y", "REDIS_CA_FILE": "/ca", "PATH": "/bin"}
    assert settings_here(beside, found) == {"REDIS_URL": "redis://me:x@h", "PATH": "/bin"}
    for chosen in ({"REDIS_URL": "redis://g"}, {"REDIS_URL_FILE": "/x"}):
        assert settings_here({**beside, **chosen}, found) == {**beside, **chosen}
    assert settings_here(beside, {}) == beside
