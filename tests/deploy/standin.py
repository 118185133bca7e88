"""A stand-in for a service: it tells what it was given, and ends, hangs or dies as it is told.

STANDIN_LOG is a folder. There it writes NAME.json (its process id and environment) at every start, and
appends its name to `stopped` when it gets SIGTERM. STANDIN_NAME says how it behaves: `exit STATUS` and
`exit STATUS the second time`, with a reason, `hang` (SIGTERM does nothing, and a process that it started hangs as
well), or nothing, which means well.
"""

import json
import os
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class _Ops(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ready\n")

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


def main(name: str) -> None:
    folder = Path(os.environ["STANDIN_LOG"])
    behaviour = os.environ.get(f"STANDIN_{name.upper()}", "")
    about: dict[str, object] = {"pid": os.getpid(), "environment": dict(os.environ)}

    def stop(_number: int, _frame: object) -> None:
        with (folder / "stopped").open("a") as file:
            file.write(f"{name}\n")
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    if behaviour == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        about["grandchild"] = subprocess.Popen(["sleep", "600"]).pid
    exits = behaviour.startswith("exit") and (not behaviour.endswith("time") or (folder / f"{name}.json").exists())
    new = folder / f"{name}.new"
    new.write_text(json.dumps(about))
    new.replace(folder / f"{name}.json")
    if exits:
        Path(os.environ["TERMINATION_LOG"]).write_text(f"{name.upper()}_WINDOW: is too long\n")
        sys.exit(int(behaviour.split()[1]))
    HTTPServer(("127.0.0.1", int(os.environ[f"{name.upper()}_OPS_PORT"])), _Ops).serve_forever()
