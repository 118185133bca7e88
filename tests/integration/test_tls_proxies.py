"""A broadcaster behind nginx, HAProxy and Caddy that end TLS: who a client is, a named proxy alone may say."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from deploy.redis_server import free_port
from services.broadcaster.service import StateBroadcaster
from tests.certificates import Authority, Pair
from tests.integration.fanout import broadcasting
from tests.support import ROOT, eventually, reachable

PATHS = f"{os.environ.get('PATH', '')}:/usr/sbin"
NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port} ssl; ssl_certificate {pem}; ssl_certificate_key {key};
    location / {{
      proxy_pass http://127.0.0.1:{behind}; proxy_http_version 1.1; proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header Forwarded "";
    }}
  }}
}}
"""
RUNNING = (ROOT / "docs" / "running.md").read_text()


def documented(name: str, instead: Mapping[str, str]) -> str:
    """The configuration that the docs have, as a template: with what a test needs in the place of what they say."""
    (found,) = re.findall(rf"^```{name}\n(.*?)^```", RUNNING, re.MULTILINE | re.DOTALL)
    text = str(found).replace("{", "{{").replace("}", "}}").replace("127.0.0.1:8765", "127.0.0.1:{behind}")
    for said, needed in instead.items():
        assert said in text
        text = text.replace(said, needed)
    return text


HAPROXY = documented("haproxy", {":443 ": "127.0.0.1:{port} ", "/etc/haproxy/cottage.pem": "{both}"})
CADDY_SITE = {"cottage.example.com {{": "https://localhost:{port} {{\n  bind 127.0.0.1\n  tls {pem} {key}"}
CADDY = """
{{
  admin off
  auto_https off
  storage file_system {folder}/caddy
}}
""" + documented("caddy", CADDY_SITE)
PROXIES = {
    "nginx": (NGINX, ["-c", "{config}", "-e", "{folder}/error.log", "-p", "{folder}"]),
    "haproxy": (HAPROXY, ["-f", "{config}"]),
    "caddy": (CADDY, ["run", "--adapter", "caddyfile", "--config", "{config}"]),
}


def joined(pair: Pair, both: Path) -> None:
    """Certificate, chain and key in one file, as HAProxy takes them."""
    both.write_bytes(Path(pair.certificate).read_bytes() + Path(pair.key).read_bytes())


@asynccontextmanager
async def behind(
    name: str, folder: Path, authority: Authority, *, trusted: bool
) -> AsyncIterator[tuple[int, StateBroadcaster]]:
    """The port of a proxy that ends TLS, and the broadcaster behind it, which lets in one client of an address."""
    command = shutil.which(name, path=PATHS)
    if command is None:
        pytest.skip(f"no {name} on this machine")
    template, options = PROXIES[name]
    pair, port, plain = authority.issue(), free_port(), free_port()
    both = folder / "both.pem"
    joined(pair, both)
    config = folder / "proxy.conf"
    values = {"folder": folder, "port": port, "behind": plain, "pem": pair.certificate, "key": pair.key, "both": both}
    config.write_text(template.format(**values))
    proxies = (ip_network("127.0.0.1"),) if trusted else ()
    async with broadcasting(
        free_port(), plain, ready=False, trusted_proxies=proxies, max_connections_per_address=1
    ) as broadcaster:
        words = [each.format(config=config, folder=folder) for each in options]
        process = await asyncio.create_subprocess_exec(
            command, *words, env={**os.environ, "HOME": str(folder)}, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            await eventually(lambda: reachable(port), 20.0)
            yield port, broadcaster
        finally:
            process.terminate()
            await process.wait()


def dialled(port: int, authority: Authority, forwarded: str) -> connect:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    url = f"wss://localhost:{port}/ws"
    return connect(url, proxy=None, ssl=authority.client_context(), additional_headers=headers)


@pytest.mark.parametrize("trusted", [True, False], ids=["named", "not named"])
@pytest.mark.parametrize("name", PROXIES)
async def test_behind_a_proxy_that_ends_tls(tmp_path: Path, name: str, trusted: bool) -> None:
    authority = Authority(tmp_path)
    async with (
        behind(name, tmp_path, authority, trusted=trusted) as (port, broadcaster),
        dialled(port, authority, "") as first,
    ):
        assert b"SNAPSHOT" in await first.recv(decode=False)
        await eventually(lambda: broadcaster.status()["clients"] == 1)
        with pytest.raises(InvalidStatus, match="503"):
            await dialled(port, authority, "")
        if name == "nginx":  # which appends the peer's address, itself a proxy's: it says who is before it
            second = dialled(port, authority, "203.0.113.9")
            if trusted:
                async with second as client:
                    assert b"SNAPSHOT" in await client.recv(decode=False)
            else:
                with pytest.raises(InvalidStatus, match="503"):
                    await second
