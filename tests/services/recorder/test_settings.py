"""Settings of the recorder that cannot be."""

import pytest
from pydantic import ValidationError

from services.recorder.settings import RecorderSettings


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"archive": "bucket/prefix"}, "must look like s3://bucket/prefix"),
        ({"archive": "s3://"}, "must look like s3://bucket/prefix"),
        ({"archive": "s3://bucket", "archive_endpoint": "storage:9000"}, "must look like http://host:port"),
        ({"archive_endpoint": "http://storage:9000"}, "goes with RECORDER_ARCHIVE"),
        ({"bridge_url": "http://bridge"}, "must look like ws://"),
        ({"keep_days": 0}, "greater than 0"),
        ({"states": "none"}, "must be one of full, inputs"),
        ({"flush_seconds": 0.01}, "greater than or equal to 0.1"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        RecorderSettings.model_validate(wrong)
    assert words in str(refused.value)


@pytest.mark.parametrize(("spelt", "on"), [("on", True), ("off", False), ("0", False), ("1", True), ("none", False)])
def test_it_is_switched_off_by_its_name(monkeypatch: pytest.MonkeyPatch, spelt: str, on: bool) -> None:
    monkeypatch.setenv("RECORDER", spelt)
    assert RecorderSettings().on is on
