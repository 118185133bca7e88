"""`cottage watch`: follows a broadcaster, and shows its states as a live table or as JSON lines."""

import asyncio
import sys
from argparse import Namespace
from contextlib import AbstractContextManager
from typing import Protocol

from cottage.cli.lines import JsonLines
from cottage.cli.screen import is_terminal, needing_rich
from cottage.cli.token_option import next_step
from cottage.cli.view import View
from cottage.client.replica import MOST_NAMED, Phase
from cottage.client.state_client import ClientUnauthorized, StateClient
from cottage.probe import Unhealthy
from cottage.stop_signals import interrupt_on_signals

HEARTBEAT_POLL_SECONDS = 0.02


class Display(AbstractContextManager["Display"], Protocol):
    """What shows the states: LiveTable or JsonLines. It is entered as a context while states are followed."""

    seconds: float
    """The seconds between two calls of `tick`."""

    def __init__(self, view: View) -> None: ...

    def changed(self, symbol: str) -> None:
        """Called when the state of a symbol has changed, or is gone."""

    def tick(self) -> None:
        """Called every `seconds`, since ages grow though nothing arrives."""

    def whole(self) -> None:
        """Show all states once, for --once."""


def watch(given: Namespace) -> None:
    """Run `cottage watch`. It returns only with --once, and then raises Unhealthy if no server sends its states in
    time. Raises MissingExtra if the table needs rich and that is not installed."""
    as_lines = given.json or not (given.once or is_terminal())
    display = JsonLines if as_lines else _table()
    interrupt_on_signals()  # so that the terminal is left as it was
    asyncio.run(_watch(given, display))


def _table() -> type[Display]:
    with needing_rich():
        from cottage.cli.terminal import LiveTable
    return LiveTable


async def _watch(given: Namespace, kind: type[Display]) -> None:
    try:
        await _shown(given, kind)
    except ClientUnauthorized as error:
        raise Unhealthy(f"{error}; {next_step(given.token)}") from error


async def _shown(given: Namespace, kind: type[Display]) -> None:
    following = StateClient.connect(given.url, symbols=given.symbols or None, batch=given.batch, token=given.token)
    async with following as client:
        view = View(client, given.symbols)
        display = kind(view)
        refusals = asyncio.create_task(_tell_refusals(client))
        try:
            if not given.once:
                await _follow(client, display)
            try:
                async with asyncio.timeout(given.timeout):
                    await _caught_up(client)
            except TimeoutError:
                raise Unhealthy(_too_late(given, client)) from None
            await asyncio.sleep(0)  # for what was refused before the HEARTBEAT
            display.whole()
        finally:
            refusals.cancel()
            await asyncio.gather(refusals, return_exceptions=True)  # whoever follows the states raises the same


def _too_late(given: Namespace, client: StateClient) -> str:
    why = f": {client.problem}" if client.problem else ""
    if client.phase is Phase.CONNECTING and not why and given.token is None:  # it waits for a token for some seconds
        why = f"; if it asks for a token, {next_step(None)}"
    return f"{client.url} does not tell its states within {given.timeout:g} s{why}"


async def _tell_refusals(client: StateClient) -> None:
    """Say which symbols the server does not tell of, and why."""
    async for event in client.events():
        if event["event"] == "ERROR" and event["symbols"]:
            names = ", ".join(event["symbols"][:MOST_NAMED]) + (", …" if event["symbols"][MOST_NAMED:] else "")
            print(f"cottage: not told of {names}: {event['message']}", file=sys.stderr)


async def _follow(client: StateClient, display: Display) -> None:
    """Show changes until an error ends it. Raises what the client or the display raises."""
    changes = asyncio.create_task(_show_changes(client, display))
    try:
        with display:
            while not changes.done():
                display.tick()
                await asyncio.wait((changes,), timeout=display.seconds)
        changes.result()
    finally:
        changes.cancel()
        await asyncio.wait((changes,))


async def _show_changes(client: StateClient, display: Display) -> None:
    await _caught_up(client)
    async for symbol, _ in client.changes():
        display.changed(symbol)


async def _caught_up(client: StateClient) -> None:
    """Wait until all states have arrived, and then the HEARTBEAT, which says whether the server's upstream works."""
    await client.synced()
    while client.upstream is None:
        await asyncio.sleep(HEARTBEAT_POLL_SECONDS)
        await client.synced()
