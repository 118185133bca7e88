"""The files that the broadcaster serves: the web page, and `cottage.js` with its TypeScript declarations.

They are read once at the start from the folder `page/`. Where tokens are asked for, the page is told so in a `meta`.
"""

import html
from importlib.resources import files
from urllib.parse import urlsplit

import orjson

from common.fanout.server import StaticFile
from services.broadcaster.page_access import NOBODY_IS_ASKED, PageAccess

MEDIA_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".ts": "application/typescript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
PUBLIC = frozenset({"cottage.js", "cottage.d.ts"})
"""What pages of every origin may import."""
CALLBACK = "callback.html"


def origin(url: str) -> str:
    """The scheme, host and port of a URL, and nothing else that stands in it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    place = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{place}" + (f":{parts.port}" if parts.port else "")


def page_headers(*others: str) -> dict[str, str]:
    """The headers of a page that may ask these URLs beside its own server."""
    asked = " ".join(["'self'", *dict.fromkeys(origin(url) for url in others if url)])
    return {
        # Everything comes from here, the WebSocket too; no other page frames this one; no text becomes code.
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src {asked}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
    }


def load(access: PageAccess = NOBODY_IS_ASKED) -> dict[str, StaticFile]:
    """The files by their paths; `/` is index.html."""
    pages: dict[str, StaticFile] = {}
    for entry in files("services.broadcaster").joinpath("page").iterdir():
        suffix = entry.name[entry.name.rfind(".") :]
        if suffix in MEDIA_TYPES:
            path, body, headers = f"/{entry.name}", entry.read_bytes(), {}
            if suffix == ".html":
                path = "/" if entry.name == "index.html" else path
                body = _telling(body, access)
                headers = page_headers(access.token_url if entry.name == CALLBACK else access.api_url)
            pages[path] = StaticFile(MEDIA_TYPES[suffix], body, headers, entry.name in PUBLIC)
    return pages


def _telling(body: bytes, access: PageAccess) -> bytes:
    told = access.told()
    if not told:
        return body
    content = html.escape(orjson.dumps(told).decode())
    return body.replace(b"<title>", f'<meta name="cottage-access" content="{content}" />\n    <title>'.encode(), 1)
