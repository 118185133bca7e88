"""What a wrong REDIS_URL says, on real servers, also with TLS: which setting, who, what, and never the password."""

import asyncio
import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cottage.errors import RedisError, RedisRefused, RedisUnavailable, SettingsError
from cottage.redis import BlockingClient, Client, connect, connect_asking, connect_blocking, subscribe
from deploy.redis_server import RunningServer, Server, ServerError, free_port, start
from tests.integration.fanout import cutting
from tests.support import IN_MEMORY, OwnRedis, service

pytestmark = pytest.mark.usefixtures("face")
PASSWORD = "s3cret"
LONG = 60.0
"""A time-out so long that nobody who waits for it passes."""


@pytest.fixture
def http_port() -> Iterator[int]:
    class Silent(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def tls(server_binaries: dict[str, Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A Redis with a port that speaks TLS, and the certificate that it shows."""
    if "redis" not in server_binaries or shutil.which("openssl") is None:
        pytest.skip("the embedded server has no TLS; a redis-server and openssl are needed")
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    made += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    port, options = free_port(), ["--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    options += ["--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no", "--tls-port", str(port)]
    try:
        running: RunningServer = start(
            server_binaries["redis"], folder / "redis", free_port(), config=None, arguments=(*IN_MEMORY, *options)
        )
    except ServerError as error:  # a redis-server that was built without
        pytest.skip(f"no TLS: {error}")
    with running:
        yield port, certificate


async def refused(url: str, kind: type[RedisError] = RedisRefused, timeout: float = LONG) -> str:
    """What the clients with and without an event loop, and a subscription, say of the URL; all three say the same."""

    async def ask() -> None:
        async with connect(url, timeout=timeout) as client:
            await client.ping()

    async def listen() -> None:
        async with subscribe(url, "channel", timeout=timeout):
            pass

    def ask_blocking() -> None:
        client = connect_asking(url, timeout=timeout)
        try:
            pipeline = client.pipeline(transaction=False)
            pipeline.execute_command("PING")
            pipeline.execute()
        finally:
            client.close()

    async with asyncio.timeout(LONG / 2):
        attempts = ask(), listen(), asyncio.to_thread(ask_blocking)
        refusals = await asyncio.gather(*attempts, return_exceptions=True)
    assert all(isinstance(refusal, kind) for refusal in refusals), refusals
    (line,) = set(map(str, refusals))
    assert line.startswith("REDIS_URL: ")
    assert PASSWORD not in line
    assert "\n" not in line
    return line


@pytest.mark.parametrize("scheme", ["redis", "rediss", "redis+cluster", "rediss+cluster"])
async def test_an_http_server_is_told_as_such_at_once(http_port: int, scheme: str) -> None:
    line = await refused(f"{scheme}://:{PASSWORD}@127.0.0.1:{http_port}")
    assert f"127.0.0.1:{http_port}" in line
    assert "HTTP" in line


async def test_something_else_is_told_by_what_it_says() -> None:
    async with cutting(lambda writer: writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")) as (port, _):
        assert "SSH-2.0-OpenSSH" in await refused(f"redis://127.0.0.1:{port}")


@pytest.mark.parametrize("scheme", ["rediss", "rediss+cluster"])
async def test_tls_to_a_plain_port_is_said_at_once(own_redis: OwnRedis, scheme: str) -> None:
    line = await refused(f"{scheme}://:{PASSWORD}@127.0.0.1:{own_redis.port}")
    assert "does not speak TLS" in line
    assert "redis:// in place of rediss://" in line


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
async def test_a_tls_port_that_is_spoken_to_plainly_is_said_at_once(tls: tuple[int, Path], scheme: str) -> None:
    line = await refused(f"{scheme}://:{PASSWORD}@127.0.0.1:{tls[0]}")
    assert "speaks TLS" in line
    assert "rediss:// in place of redis://" in line


async def test_tls_works_and_a_certificate_that_is_not_trusted_is_named(tls: tuple[int, Path]) -> None:
    port, certificate = tls
    line = await refused(f"rediss://127.0.0.1:{port}")
    assert "certificate of 127.0.0.1" in line
    assert "ssl_ca_certs=" in line
    url = f"rediss://127.0.0.1:{port}?ssl_ca_certs={certificate}"
    async with connect(url) as client, subscribe(url, "channel"):
        assert await client.ping() is True
    with connect_blocking(url) as blocking:
        assert blocking.ping() is True


@pytest.mark.parametrize(
    ("login", "says"),
    [
        ("", "asks for a password, and the URL has none"),
        (":wr0ng@", "refuses user 'default' with this password"),
        ("ann:wr0ng@", "refuses user 'ann' with this password"),
    ],
)
async def test_a_missing_or_wrong_password_names_setting_and_user(own_redis: OwnRedis, login: str, says: str) -> None:
    own_redis.restart("--requirepass", PASSWORD)
    line = await refused(f"redis://{login}127.0.0.1:{own_redis.port}")
    assert says in line
    assert "wr0ng" not in line


async def test_a_database_that_is_not_there_is_named(own_redis: OwnRedis) -> None:
    assert "no database of the number" in await refused(f"{own_redis.url}/99")


async def test_a_server_that_is_no_node_and_no_sentinel_is_named(own_redis: OwnRedis) -> None:
    url = f"127.0.0.1:{own_redis.port}"
    assert "no node of a cluster" in await refused(f"redis+cluster://{url}")
    assert "no sentinel" in await refused(f"redis+sentinel://{url}/mymaster")


async def test_sentinels_that_are_none_are_named(own_redis: OwnRedis, http_port: int) -> None:
    line = await refused(f"redis+sentinel://127.0.0.1:{http_port}/mymaster", RedisUnavailable)
    assert "'mymaster'" in line
    assert "HTTP" in line
    own_redis.restart("--requirepass", PASSWORD)
    line = await refused(f"redis+sentinel://127.0.0.1:{own_redis.port}/mymaster", RedisUnavailable)
    assert "?sentinel_password=" in line
    assert "redis.asyncio" not in line


async def test_a_missing_right_names_user_command_and_key(own_redis: OwnRedis) -> None:
    async with connect(own_redis.url) as admin:
        rights = ("+get", "+mget", "+eval", "+multi", "+exec", "+subscribe", "resetchannels", "~market:*")
        await admin.execute_command("ACL", "SETUSER", "ann", "on", f">{PASSWORD}", *rights)
    url = own_redis.url.replace("://", f"://ann:{PASSWORD}@")
    async with connect(url) as client:
        await _says(client.get("physics:state:SPY"), "may not GET physics:state:SPY")
        await _says(client.set("market:a", PASSWORD), "may not SET market:a")
        await _says(client.mget("market:a", "physics:b"), "may not MGET market:a physics:b")
        await _says(client.config_get("*"), "may not CONFIG GET")
        await _says(client.publish("state_update", PASSWORD), "may not PUBLISH state_update")
        await _says(client.bulk([("GET", "market:a"), ("SET", "market:b", PASSWORD)]), "may not SET market:b")
        await _says(client.bulk([("SET", "market:b", PASSWORD)], transaction=True), "may not SET market:b")
        (_, error) = await client.bulk([("GET", "market:a"), ("GET", "physics:c")], raise_on_error=False)
        assert "user 'ann' may not GET physics:c" in str(error)
        script = client.register_script("return redis.call('SET', KEYS[1], ARGV[1])")
        await _says(script(keys=["market:a"], args=[PASSWORD]), "may not EVAL")
        pipeline = client.pipeline(transaction=False)
        pipeline.set("market:a", PASSWORD)
        await _says(pipeline.execute(), "may not SET market:a")

    async def listen() -> None:
        async with subscribe(url, "state_update"):
            pass

    await _says(listen(), "may not SUBSCRIBE state_update")
    with connect_blocking(url) as blocking, pytest.raises(RedisRefused, match="'ann' may not GET physics:x"):
        blocking.get("physics:x")


async def _says(work: object, expected: str) -> None:
    with pytest.raises(RedisRefused) as refusal:
        await work  # type: ignore[misc]  # whatever it gives
    line = str(refusal.value)
    assert line.startswith(f"REDIS_URL: user 'ann' {expected}"), line
    assert PASSWORD not in line


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://127.0.0.1:1/abc", "number of a database"),
        ("redis://127.0.0.1:1/99999999999999999999", "number of a database"),
        ("redis+sentinel://a/mymaster/99999999999999999999", "its database is no number"),
        ("redis+srv://h", "must look like"),
        ("redis://127.0.0.1:1?foo=1", "foo is no option"),
        ("redis://127.0.0.1:1?foo", "foo is no option"),
        ("redis://127.0.0.1:1?socket_timeot=1", "did you mean socket_timeout?"),
        ("redis://127.0.0.1:1?db=1&password=p&s3cret", "an & in a password is written %26"),
        ("unix:///redis.sock?password=p&s3cret=&db=1", "an & in a password is written %26"),
        ("redis://127.0.0.1:1?retry_on_error=s3cret", "retry_on_error cannot be set"),
        ("redis://127.0.0.1:1?maint_notifications_config=s3cret", "maint_notifications_config cannot be set"),
        ("redis://127.0.0.1:1?ssl_ca_certs=x", "go with rediss://"),
        ("rediss://127.0.0.1:1?ssl_ca_certs=/no/such/file", "ssl_ca_certs: there is no such file"),
        ("rediss://127.0.0.1:1?ssl_cert_reqs=perhaps", "perhaps"),
        ("redis+cluster://" + "a" * 70, "host"),
        ("redis+sentinel://a..b/mymaster", "host"),
        ("redis://:12#s3cret@h", "percent-encoded"),
    ],
)
def test_a_url_is_refused_before_anything_is_dialled(url: str, says: str) -> None:
    for make in (connect, connect_asking):
        with pytest.raises(SettingsError, match=r"^REDIS_URL: ") as refusal:
            make(url)
        assert says in str(refusal.value)
        for python in ("__init__", "argument", "s3cret"):
            assert python not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("redis://127.0.0.1:1", "127.0.0.1:1 (Connection refused)"),
        ("redis://no-such-host.invalid", "no-such-host.invalid:6379 ("),
        ("redis+cluster://127.0.0.1:1", "127.0.0.1:1 (Connection refused)"),
        ("unix:///no/such/socket", "/no/such/socket (No such file or directory)"),
    ],
)
async def test_where_nobody_answers_is_named_with_the_setting(url: str, where: str) -> None:
    assert f"no Redis answers at {where}" in await refused(url, RedisUnavailable)


async def test_a_service_says_it_in_its_log_and_on_readyz(http_port: int) -> None:
    async with service("bridge", {"BRIDGE_PORT": "0", "REDIS_URL": f"redis://127.0.0.1:{http_port}"}) as bridge:
        lost = await bridge.logged("redis_lost", kind="RedisRefused")
        assert lost["error"].startswith("REDIS_URL: there is no Redis at 127.0.0.1")
        assert "HTTP" in (await bridge.get("/readyz")).text


async def test_a_first_connection_that_succeeded_explains_no_later_one(own_redis: OwnRedis) -> None:
    clients: tuple[Client, BlockingClient] = connect(own_redis.url), connect_blocking(own_redis.url)
    async with clients[0] as client:
        with clients[1] as blocking:
            assert await client.ping() is True
            assert blocking.ping() is True
            own_redis.kill()
            for work in (client.ping(), asyncio.to_thread(blocking.ping)):
                with pytest.raises(RedisUnavailable):
                    await work
