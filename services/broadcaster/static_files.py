"""The files that the broadcaster serves: the web page, and `cottage.js` with its TypeScript declarations.

They are read once at the start from the folder `page/`.
"""

from importlib.resources import files

MEDIA_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".ts": "application/typescript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}


def load() -> dict[str, tuple[str, bytes]]:
    """(media type, body) by path; `/` is index.html."""
    pages: dict[str, tuple[str, bytes]] = {}
    for entry in files("services.broadcaster").joinpath("page").iterdir():
        suffix = entry.name[entry.name.rfind(".") :]
        if suffix in MEDIA_TYPES:
            path = "/" if entry.name == "index.html" else f"/{entry.name}"
            pages[path] = (MEDIA_TYPES[suffix], entry.read_bytes())
    return pages
