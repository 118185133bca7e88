"""The files that the broadcaster serves: the web page, and `cottage.js` with its TypeScript declarations.

They are read once at the start from the folder `page/`.
"""

from importlib.resources import files

from common.fanout.server import StaticFile

MEDIA_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".ts": "application/typescript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
PUBLIC = frozenset({"cottage.js", "cottage.d.ts"})
"""What pages of every origin may import."""
PAGE_HEADERS = {
    # Everything comes from here, the WebSocket too, and no other page shows this one in a frame.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def load() -> dict[str, StaticFile]:
    """The files by their paths; `/` is index.html."""
    pages: dict[str, StaticFile] = {}
    for entry in files("services.broadcaster").joinpath("page").iterdir():
        suffix = entry.name[entry.name.rfind(".") :]
        if suffix in MEDIA_TYPES:
            path = "/" if entry.name == "index.html" else f"/{entry.name}"
            headers = PAGE_HEADERS if suffix == ".html" else {}
            pages[path] = StaticFile(MEDIA_TYPES[suffix], entry.read_bytes(), headers, entry.name in PUBLIC)
    return pages
