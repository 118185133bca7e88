"""The tokens of the fan-out's benchmark make as many groups as it says, each for all of its symbols."""

from pathlib import Path

import pytest

from common.auth.settings import AuthSettings
from common.fanout.audience import Audience
from cottage.clock import SystemClock
from cottage.protocol import Subscription
from tests.bench.fanout import tokens


@pytest.mark.parametrize(("way", "groups"), list(zip(tokens.ways(150), (0, 1, 100, 150), strict=True)))
def test_ways(way: tokens.Tokens, groups: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in way.settings.items():
        monkeypatch.setenv(name, value)
    verifier = AuthSettings().authentication(SystemClock())
    options = way.options(tmp_path, 150)
    assert (verifier is None, options == {}) == (groups == 0, groups == 0)
    if verifier is None:
        return
    grants = [verifier.grant(line) for line in Path(options["token_file"]).read_text().splitlines()]
    audiences = {Audience.of(Subscription(True), grant) for grant in grants}
    assert (len(grants), len(audiences)) == (150, groups)
    assert all(audience.restricted and audience.has("B00000") and audience.has("B09999") for audience in audiences)
