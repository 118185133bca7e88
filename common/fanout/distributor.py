"""Distributors hand updates, events and freshness statements to the groups of sessions that subscribed to them.

A hub has one `Distributor` for the clients that are sent everything at once, and one `BatchDistributor` for each
length of `?batch=` that a client asked for. All clients of a distributor are written to at the same moments. A client
that has caught up holds exactly the states of its distributor's last value cache.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from common.fanout.audience import Audience
from common.fanout.conflation import Backlog, Update, conflate, newest
from common.fanout.group import BatchGroup, Group
from common.fanout.pattern_index import PatternIndex
from common.fanout.session import HubView, Session
from cottage.events import Event, EventQueue
from cottage.freshness import FreshnessStatement

T = TypeVar("T")


class Distributor:
    """Hands on what it is given at once. The hub uses it for clients without `?batch=`."""

    group_type: type[Group] = Group

    def __init__(self, view: HubView) -> None:
        self.view = view
        self._groups: dict[Audience, Group] = {}
        self._everything: dict[Group, None] = {}
        """The groups that are sent every symbol."""
        self._by_symbol: dict[str, dict[Group, None]] = {}
        """The groups that are sent a symbol and not every one: they named it, or their patterns match it."""
        self._patterns: PatternIndex[Group] = PatternIndex()
        """The groups that are sent all symbols that some patterns name."""
        self._matched: set[str] = set()
        """The symbols that were matched with those patterns, once each; none while there are no such groups."""

    def __len__(self) -> int:
        """The number of groups."""
        return len(self._groups)

    def add(self, session: Session) -> None:
        """Put a session into the group of its audience."""
        audience = session.audience
        group = self._groups.get(audience)
        if group is None:
            group = self._groups[audience] = self.group_type(audience.subscription, self.view, audience.events)
            self._begin_group(group, audience)
        group.add(session)

    def remove(self, session: Session, audience: Audience) -> None:
        """Take a session out of the group of its former audience."""
        group = self._groups[audience]
        group.remove(session)
        if len(group):
            return
        del self._groups[audience]
        self._everything.pop(group, None)
        for symbol in self._symbols_of(audience):
            self._not_sent(symbol, group)
        if audience.restricted:
            self._patterns.remove(group)
            if not self._patterns:
                self._matched.clear()

    def updates(self, updates: Sequence[Update]) -> None:
        for group in list(self._everything):
            group.deliver(updates)
        if self._patterns:
            self._match(update.symbol for update in updates)
        if self._by_symbol:
            for group, part in self._by_group((update.symbol, update) for update in updates).items():
                group.deliver(part)
        if self._patterns:
            for update in updates:
                if update.removal and update.symbol not in self.view.last_values:
                    self._forget(update.symbol)

    def freshness(self, statement: FreshnessStatement) -> None:
        if statement.symbols is None:
            for group in list(self._groups.values()):
                group.freshness(statement)
            return
        for group in list(self._everything):
            group.freshness(statement)
        if self._patterns:
            self._match(statement.symbols)
        if self._by_symbol:
            for group, ages in self._by_group((each[0], each) for each in statement.each()).items():
                group.freshness(statement.about(ages))

    def event(self, event: Event) -> None:
        for group in list(self._groups.values()):
            if group.receives(event.topic):
                group.event(event)

    def heartbeat(self) -> None:
        for group in list(self._groups.values()):
            group.heartbeat()

    def _begin_group(self, group: Group, audience: Audience) -> None:
        if audience.restricted:
            if not self._patterns:
                self._matched.update(self.view.last_values)
            self._patterns.add(group, audience.symbols)
        elif audience.subscription.everything:
            self._everything[group] = None
        for symbol in self._symbols_of(audience):
            self._by_symbol.setdefault(symbol, {})[group] = None

    def _symbols_of(self, audience: Audience) -> Iterable[str]:
        """The symbols by which the group of this audience is found."""
        return audience.among(self._matched) if audience.restricted else audience.subscription.named

    def _match(self, symbols: Iterable[str]) -> None:
        """Find the groups whose patterns match symbols that appear for the first time."""
        for symbol in symbols:
            if symbol not in self._matched:
                self._matched.add(symbol)
                for group in self._patterns.matching(symbol):
                    self._by_symbol.setdefault(symbol, {})[group] = None

    def _forget(self, symbol: str) -> None:
        """A symbol is gone: if it comes again, it is matched again."""
        self._matched.discard(symbol)
        for group in self._patterns.matching(symbol):
            self._not_sent(symbol, group)

    def _not_sent(self, symbol: str, group: Group) -> None:
        groups = self._by_symbol.get(symbol, {})
        groups.pop(group, None)
        if not groups:
            self._by_symbol.pop(symbol, None)

    def _by_group(self, items: Iterable[tuple[str, T]]) -> dict[Group, list[T]]:
        """Items with their symbols, by the groups whose subscriptions name these symbols."""
        parts: dict[Group, list[T]] = {}
        for symbol, item in items:
            for group in self._by_symbol.get(symbol, ()):
                parts.setdefault(group, []).append(item)
        return parts


class BatchDistributor(Distributor):
    """Gathers what comes within a window. At its end the newest state of each symbol is sent, and all that waited.

    Its last value cache is as of the end of the last window: a client that is written to within a window gets the
    states held there, and the newer ones at its end. When a window opens, `begin` is called with this distributor;
    the hub then calls `close` when the window is over.
    """

    group_type = BatchGroup

    def __init__(self, view: HubView, begin: Callable[["BatchDistributor"], object]) -> None:
        super().__init__(replace(view, last_values=view.last_values.copy(), was_complete=view.complete))
        self._newest = view
        self._begin = begin
        self._window: Backlog = {}
        self._statements: list[tuple[float, FreshnessStatement]] = []
        """With the monotonic time at which each was made."""
        self._events: EventQueue[Event] = EventQueue()
        self._heartbeat_due = False

    def updates(self, updates: Sequence[Update]) -> None:
        self._open()
        if removed := {update.symbol for update in updates if update.removal}:
            # A client forgets with a state what was said of it: said after a newer one it would hold of that.
            left = ((at, statement.without(removed)) for at, statement in self._statements)
            self._statements = [(at, statement) for at, statement in left if statement is not None]
        conflate(self._window, [update.conflated for update in updates])

    def freshness(self, statement: FreshnessStatement) -> None:
        self._open()
        if statement.symbols is None:
            self._statements.clear()
        self._statements.append((self.view.monotonic(), statement))  # is sent after the states that it is about

    def event(self, event: Event) -> None:
        self._open()
        if self._events.put(event.topic, event.key, event):
            for group in self._groups.values():
                if group.receives(event.topic):
                    for session in group:
                        session.events.dropped += 1

    def heartbeat(self) -> None:
        self._open()
        self._heartbeat_due = True  # its `seqs` prove what was sent, so it has to wait as well

    def close(self) -> None:
        """End the window. The hub must have handed on all of its updates before."""
        window, self._window = self._window, {}
        statements, self._statements = self._statements, []
        held = self.view.last_values = self._newest.last_values.copy()
        self.view.was_complete = self._newest.complete
        super().updates([update for symbol, missed in window.items() for update in newest(symbol, missed, held)])
        for stated_at, statement in statements:
            super().freshness(statement.aged(self.view.monotonic() - stated_at))
        while self._events:
            super().event(self._events.pop())
        if self._heartbeat_due:
            self._heartbeat_due = False
            super().heartbeat()

    def _open(self) -> None:
        if not (self._window or self._statements or self._events or self._heartbeat_due):
            self._begin(self)
