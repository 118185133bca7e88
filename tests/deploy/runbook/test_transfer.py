"""How a file that comes from elsewhere is read."""

from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest

from deploy.redis_server import Server
from deploy.runbook import transfer


@pytest.mark.parametrize(("kind", "version"), [("redis", "7.0.15"), ("redis", "8.2.1"), ("valkey", "8.1.4")])
def test_every_server_that_reads_an_rdb_checks_what_is_packed_in_it(
    kind: Literal["redis", "valkey"], version: str
) -> None:
    arguments = transfer._loading(Server(kind, version, Path("server"), embedded=False))
    assert ("--sanitize-dump-payload", "yes") in pairwise(arguments)
