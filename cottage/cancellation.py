"""Helpers for the cancellation of asyncio tasks: background tasks of a block, and cancellations that get lost."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any


@contextlib.contextmanager
def cancellation_kept() -> Iterator[None]:
    """Raise the CancelledError that was lost in this block. Two things lose it:

    - redis-py sends with asyncio.wait_for, which in Python 3.11 drops a cancellation that comes as the sending
      ends: the command succeeds.
    - A TaskGroup that is ending with an error, before Python 3.13, raises that error and nothing else.

    Either way a loop around it that was told to end would go on for ever.
    """
    try:
        task = asyncio.current_task()
    except RuntimeError:  # code without a loop
        task = None
    before = 0 if task is None else task.cancelling()
    try:
        yield
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError


@contextlib.asynccontextmanager
async def background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run these coroutines beside the block, and cancel them at its end. Where one of them or the block fails, all
    are ended, and an ExceptionGroup of what failed is raised."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in work]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
