"""A real HTTP server whose answers a test says beforehand."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from common.web import asgi


@dataclass
class HttpAnswers:
    """What the server answers, and the requests that it got."""

    url: str
    status: int = 200
    body: bytes = b"{}"
    kind: str = "application/json"
    by_path: dict[str, bytes] = field(default_factory=dict)
    """Answers to single paths, without their query."""
    asked: list[str] = field(default_factory=list)
    """The targets of all requests, with their queries."""
    headers: list[dict[str, str]] = field(default_factory=list)

    def refuses(self, status: int, code: str, detail: str) -> None:
        """Answer with a problem from now on."""
        self.status, self.kind = status, asgi.PROBLEM
        self.body = asgi.problem(HTTPStatus(status), detail, code)


@contextmanager
def http_answers() -> Iterator[HttpAnswers]:
    """A server on a free port until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(self.path)
            told.headers.append(dict(self.headers))
            body = told.by_path.get(self.path.partition("?")[0], told.body)
            self.send_response(told.status)
            self.send_header("Content-Type", told.kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        told = HttpAnswers(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """The URL of a server that does with its one connection what `serve` does."""

    def accept() -> None:
        connection, _address = listening.accept()
        with connection:
            serve(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=accept)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()
