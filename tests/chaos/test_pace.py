"""All time constants of a run are settings that exist."""

from typing import Any

import pytest

from cottage.freshness import Thresholds
from tests.chaos.pace import QUICK, REAL
from tests.test_readme import SERVICES, settings_of


def test_every_variable_is_a_setting() -> None:
    known = {
        settings_of(service).variable(name) for service in SERVICES for name in settings_of(service).model_fields
    }
    assert QUICK.env().keys() <= known


def test_at_real_pace_they_are_the_defaults() -> None:
    defaults: dict[str, Any] = {}
    for service in SERVICES:
        settings = settings_of(service)
        defaults |= {settings.variable(name): info.default for name, info in settings.model_fields.items()}
    assert {name: float(value) for name, value in REAL.env().items()} == {name: defaults[name] for name in REAL.env()}


def test_a_tenth_of_all() -> None:
    assert QUICK.thresholds == pytest.approx(Thresholds(1.0, 6.0, 0.3))
    assert (QUICK.tick, QUICK.lease) == (0.1, 0.5)
    assert REAL.deaf == 4.0, "as the contract has it"
    assert QUICK.env()["REDIS_TIMEOUT_SECONDS"] == "0.5"
