import orjson

from cottage.clock import iso_millis
from cottage.freshness import assess
from cottage.reader.reading import Reading, fallback_reading
from cottage.state import TakenSample
from cottage.version import Version
from services.physics import schemas
from tests.services.physics.examples import state


def test_the_example_is_what_it_describes() -> None:
    schemas.PhysicsStateAnswer.model_validate(schemas.STATE_EXAMPLE, strict=True)


def test_every_field_of_an_answer_is_described() -> None:
    numbers = dict.fromkeys(("price", "volume", "trades", "bid", "ask"), 1.0)
    times = dict.fromkeys(("timestamp", "event_time", "received"), iso_millis(1.0))
    sample = TakenSample.from_object({**numbers, **times, "session": "S", "notes": ["auction"], "lost": True})
    remarks = {
        "lag_ms": 1200,
        "notes": ("jump",),
        "void": ("friction",),
        "native": "A/B",
        "feed": "F",
        "feed_time": iso_millis(1.0),
        "alpha_low": 1.0,
        "alpha_high": 1.0,
        "regime_since": iso_millis(1.0),
        "event_time": iso_millis(1.0),
        "snapped": 1,
        **dict.fromkeys(("volume", "trades", "bid", "ask", "grid", "tick", "interval"), 1.0),
        "votes": 1,
        "session": "S",
        "received": iso_millis(1.0),
        "said": ("auction",),
        "lost": True,
        "taken": (sample,),
        "prev": Version(1, 2),
        "written": 3,
    }
    whole = Reading(state(1_766_318_400.0, **remarks), assess(1.0, None, 1.0), "redis").as_dict()
    answer = orjson.loads(orjson.dumps(whole))
    assert answer["taken"][0].keys() == schemas.TakenSampleAnswer.model_fields.keys()
    assert answer.keys() == schemas.PhysicsStateAnswer.model_fields.keys()
    assert answer["freshness"].keys() == schemas.FreshnessAnswer.model_fields.keys()
    for each in (answer, fallback_reading("redis_down").as_dict()):
        schemas.PhysicsStateAnswer.model_validate(each, strict=True)
