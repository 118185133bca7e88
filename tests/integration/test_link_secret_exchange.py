"""The link between real bridges and those who dial them: with its secret, without, and while it is exchanged."""

import structlog

from cottage.cancellation import background
from cottage.clock import SystemClock
from cottage.redis import Client
from deploy.redis_server import free_port
from services.recorder.bridge_listener import BridgeListener
from services.recorder.freshness_notes import FreshnessNotes
from tests.integration.fanout import bridging, broadcasting, state, viewing, write
from tests.support import eventually

NEW, OLD = "n" * 32, "o" * 32


async def test_a_broadcaster_with_the_secret_is_served_and_others_are_not(redis_url: str, client: Client) -> None:
    bridge_port, port = free_port(), free_port()
    async with (
        bridging(redis_url, bridge_port, LINK_SECRET=NEW),
        broadcasting(bridge_port, port, LINK_SECRET=NEW),
        broadcasting(bridge_port, free_port(), ready=False) as without,
        broadcasting(bridge_port, free_port(), ready=False, LINK_SECRET=OLD) as wrong,
    ):
        expected = await write(client, "SPY", state(1, 1))
        async with viewing(port) as viewer:
            await viewer.holds({"SPY": expected})
        await eventually(lambda: "401" in str(wrong.not_ready()))
        assert without.not_ready() is not None
        assert len(without._hub.last_values) == len(wrong._hub.last_values) == 0


async def test_two_are_taken_while_it_is_exchanged(redis_url: str) -> None:
    """First the bridge takes both, then each broadcaster gets the new one, then the bridge forgets the old one."""
    bridge_port = free_port()
    async with bridging(redis_url, bridge_port, LINK_SECRET=NEW, LINK_SECRET_BEFORE=OLD):
        for secret in (NEW, OLD):
            async with broadcasting(bridge_port, free_port(), LINK_SECRET=secret):
                pass


async def test_after_a_refusal_the_former_one_is_shown_and_that_is_said_once(redis_url: str) -> None:
    bridge_port = free_port()
    with structlog.testing.capture_logs() as said:
        async with (
            bridging(redis_url, bridge_port, LINK_SECRET=OLD),
            broadcasting(bridge_port, free_port(), LINK_SECRET=NEW, LINK_SECRET_BEFORE=OLD),
        ):
            pass
    (line,) = [line for line in said if line["event"] == "link_secret_refused"]
    assert (line["reason"], line["others"]) == ("bad", 1)
    assert line["note"] == "set the LINK_SECRET that the bridge has; the other one is tried now"
    assert NEW not in str(said)
    assert OLD not in str(said)


async def test_the_recorder_shows_it_too(redis_url: str) -> None:
    bridge_port = free_port()
    url = f"ws://127.0.0.1:{bridge_port}/ws"

    def listening(*secrets: str) -> BridgeListener:
        return BridgeListener(url, FreshnessNotes(frozenset()), SystemClock(), 3.0, lambda: 0, secrets=secrets)

    good, bad = listening(NEW, OLD), listening()
    async with bridging(redis_url, bridge_port, LINK_SECRET=OLD), background(good.follow(), bad.follow()):
        await eventually(lambda: good.problem is None)
        assert bad.problem is not None
