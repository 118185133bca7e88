from common.freshness import assess
from services.physics import documents
from services.physics.reading import Reading, stand_in
from tests.services.physics.examples import state


def test_the_example_is_what_it_describes() -> None:
    documents.PhysicsState.model_validate(documents.STATE_EXAMPLE, strict=True)


def test_every_field_of_an_answer_is_described() -> None:
    answer = Reading(state(1_766_318_400.0), assess(1.0, None, 1.0), "redis").as_dict()
    assert answer.keys() == documents.PhysicsState.model_fields.keys()
    assert answer["freshness"].keys() == documents.Freshness.model_fields.keys()
    for each in (answer, stand_in("redis_down").as_dict()):
        documents.PhysicsState.model_validate(each, strict=True)
