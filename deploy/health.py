"""The health check of containers: `python -m deploy.health PORT` exits with 0 if /healthz answers there, else 1."""

import http.client
import sys
from http import HTTPStatus


def ask(host: str, port: int, path: str, timeout: float) -> tuple[int, str] | None:
    """Status and text of what is at `path`; None where nobody answers in time. The supervisor asks for readiness."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


if __name__ == "__main__":
    answer = ask("127.0.0.1", int(sys.argv[1]), "/healthz", timeout=2.0)
    sys.exit(0 if answer is not None and answer[0] == HTTPStatus.OK else 1)
