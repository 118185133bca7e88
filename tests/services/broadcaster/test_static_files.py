"""What the broadcaster serves, and that TypeScript knows the types of what `cottage.js` brings."""

import html
import re
import subprocess
from pathlib import Path
from typing import get_args

import httpx
import orjson
import pytest

from cottage import keys
from cottage.client.subscriptions import NAMES_A_REQUEST
from cottage.freshness import Cause
from cottage.grant import MAX_NAMED_SYMBOLS
from cottage.notes import NOTES
from cottage.protocol import BATCHES
from deploy.redis_server import free_port
from services.broadcaster import static_files
from services.broadcaster.page_access import PageAccess
from tests.integration.fanout import broadcasting
from tests.support import eventually

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "services" / "broadcaster" / "page"
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text().partition("### In a browser")[2]
README = (ROOT / "README.md").read_text().partition("With our client")[2]


def block(text: str, language: str) -> str:
    """The first one of that language."""
    found = re.search(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def node_modules() -> Path:
    folder = ROOT / "node_modules" / ".bin"
    if not (folder / "tsc").exists():
        pytest.skip("did NOT run: no tsc, which `make lint` installs where Node with npm is")
    return folder


def run(*command: str | Path, folder: Path) -> tuple[int, str]:
    """Exit code and output."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
async def user(node_modules: Path, tmp_path: Path) -> Path:
    """A folder with the declarations as a broadcaster serves them, and with the tsconfig.json of docs/protocol.md."""
    port = free_port()
    async with broadcasting(free_port(), port, ready=False), httpx.AsyncClient(trust_env=False) as http:

        async def served() -> httpx.Response | None:
            try:
                return await http.get(f"http://127.0.0.1:{port}/cottage.d.ts")
            except httpx.TransportError:
                return None

        found = await eventually(served)
    assert found is not None
    assert found.headers["Content-Type"] == "application/typescript; charset=utf-8"
    (tmp_path / "cottage.d.ts").write_bytes(found.content)
    (tmp_path / "tsconfig.json").write_text(block(PROTOCOL, "json"))
    return tmp_path


def test_every_file_of_the_page_is_served() -> None:
    served = {"index.html" if path == "/" else path[1:]: file.body for path, file in static_files.load().items()}
    assert served == {file.name: file.read_bytes() for file in PAGE.iterdir()}


def test_what_may_be_imported_and_how_the_page_is_shielded() -> None:
    served = static_files.load()
    assert {path for path, file in served.items() if file.public} == {"/cottage.js", "/cottage.d.ts"}
    assert not re.search(rb"^import ", served["/cottage.js"].body, re.MULTILINE), (
        "or that would have to be public too"
    )
    policy = served["/"].headers["Content-Security-Policy"]
    assert policy.startswith(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'"
    )
    for rule in (
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
    ):
        assert rule in policy
    assert served["/"].headers["Referrer-Policy"] == "no-referrer"
    assert served["/callback.html"].headers == served["/"].headers
    assert b"http-equiv" not in served["/"].body, "said once"


def test_the_page_is_told_of_tokens_and_may_ask_one_more_server() -> None:
    access = PageAccess(
        True, "https://api.example:8001/v1", "https://login.example/a", "https://login.example/t", 'an"<id>', ""
    )
    served = static_files.load(access)
    index, callback = served["/"], served["/callback.html"]
    assert "connect-src 'self' https://api.example:8001; " in index.headers["Content-Security-Policy"]
    assert "connect-src 'self' https://login.example; " in callback.headers["Content-Security-Policy"]
    (content,) = re.findall(rb'<meta name="cottage-access" content="([^"]*)" />', index.body)
    told = orjson.loads(html.unescape(content.decode()))
    assert told == {
        "asks": True,
        "url": "https://login.example/a",
        "token_url": "https://login.example/t",
        "client_id": 'an"<id>',
        "scope": "",
    }
    asking = static_files.load(PageAccess(asks=True))["/"].body
    assert b'content="{&quot;asks&quot;:true}"' in asking


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://a;script-src *@b.example:8001/c; d?e", "https://b.example:8001"),
        ("http://[::1]:80/v1", "http://[::1]:80"),
        ("https://API.example", "https://api.example"),
    ],
)
def test_only_the_origin_of_a_url_stands_in_the_policy(url: str, origin: str) -> None:
    assert static_files.origin(url) == origin


def test_the_page_knows_every_note_and_every_cause() -> None:
    table = (PAGE / "table.js").read_text()

    def names(start: str) -> set[str]:
        return set(re.findall(r"^  (\w+): ", table.partition(start)[2].partition("};")[0], re.MULTILINE))

    assert names("const NOTES = {") == set(NOTES)
    assert names("export const CAUSES = {") == {"server_down", *get_args(Cause)}


def test_cottage_js_refuses_what_the_library_refuses() -> None:
    module = (PAGE / "cottage.js").read_text()
    assert f"const SYMBOL = /^{keys.SYMBOL_PATTERN}$/;" in module
    assert f'const SYMBOL_RULE = "{keys.SYMBOL_RULE}";' in module
    assert f"const BATCHES = [{', '.join(map(str, (0, *BATCHES)))}];" in module
    assert f"const MAX_NAMED_SYMBOLS = {MAX_NAMED_SYMBOLS};" in module
    assert f"const NAMES_A_REQUEST = {NAMES_A_REQUEST};" in module


@pytest.mark.slow
def test_the_declarations_are_those_of_the_module(node_modules: Path, tmp_path: Path) -> None:
    """`make declarations` makes them anew."""
    (tmp_path / "node_modules").symlink_to(node_modules.parent)
    folder = tmp_path / PAGE.relative_to(ROOT)
    folder.mkdir(parents=True)
    for file in (ROOT / "package.json", PAGE / "cottage.js"):
        (tmp_path / file.relative_to(ROOT)).write_bytes(file.read_bytes())
    assert run("npm", "run", "-s", "declarations", folder=tmp_path) == (0, "")
    assert (folder / "cottage.d.ts").read_bytes() == (PAGE / "cottage.d.ts").read_bytes()


@pytest.mark.slow
def test_the_programs_of_the_documentation_compile_as_printed(user: Path, node_modules: Path) -> None:
    (user / "protocol.ts").write_text(block(PROTOCOL, "js"))
    (user / "readme.ts").write_text(block(README, "js"))
    assert run(node_modules / "tsc", "--noEmit", folder=user) == (0, "")


MISTAKES = {
    'market.addEventListener("state", ({ state }) => state.price);': "'state' is possibly 'undefined'",
    'market.addEventListener("state", ({ state }) => state?.prize);': "'prize' does not exist on type 'State'",
    'market.addEventListener("state", ({ state }) => state?.alphaHigh.toFixed(2));': "'state.alphaHigh' is possibly",
    'market.addEventListener("state", ({ state }) => state?.regimeSince.at(0));': "'at' does not exist on type",
    'market.addEventListener("agent", ({ message }) => message.name);': "not exist on type 'AgentUpdate'",
    'market.addEventListener("refusal", ({ message }) => message);': "not exist on type 'RefusalEvent'",
    'market.addEventListener("stte", ({ symbol }) => symbol);': "'symbol' does not exist on type 'Event'",
    'market.phase === "conected";': "have no overlap",
    'new Cottage("ws://127.0.0.1:8765/ws", { batch: 99 });': "Type '99' is not assignable",
}


@pytest.mark.slow
def test_a_mistake_is_found_where_it_is(user: Path, node_modules: Path) -> None:
    right = block(PROTOCOL, "js")
    (user / "market.ts").write_text(right + "\n".join(MISTAKES))
    code, output = run(node_modules / "tsc", "--noEmit", "--pretty", "false", folder=user)
    assert code != 0
    errors = {
        int(line): error for line, error in re.findall(r"^market\.ts\((\d+),\d+\): error (.*)$", output, re.MULTILINE)
    }
    first = right.count("\n") + 1
    assert list(errors) == list(range(first, first + len(MISTAKES)))
    for expected, error in zip(MISTAKES.values(), errors.values(), strict=True):
        assert expected in error
