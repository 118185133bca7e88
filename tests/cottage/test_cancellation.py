"""A cancellation that code below loses is raised after all."""

import asyncio

import pytest

from cottage.cancellation import background, cancellation_kept


async def swallow() -> None:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return


async def fail_once_cancelled() -> None:
    """The error of a child that is told to end because its parent was."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        raise ValueError("while ending") from None


async def test_what_was_swallowed_is_raised() -> None:
    async def work() -> None:
        with cancellation_kept():
            await swallow()
        pytest.fail("it went on")

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_group_that_ends_with_an_error_does_not_hide_it() -> None:
    rounds = 0

    async def work() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            with cancellation_kept():
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(fail_once_cancelled())
                        await asyncio.sleep(60)
                except* ValueError:
                    pass

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert rounds == 1


async def test_without_one_nothing_happens() -> None:
    with cancellation_kept():
        await asyncio.sleep(0)


def test_without_a_loop_nothing_happens() -> None:
    with cancellation_kept():
        pass


async def test_what_runs_beside_a_block_ends_with_it() -> None:
    ended = []

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async with background(work("one"), work("other")):
        await asyncio.sleep(0)
        assert not ended
    assert sorted(ended) == ["one", "other"]


async def test_what_fails_beside_a_block_ends_it_and_is_raised() -> None:
    async def fail() -> None:
        raise ValueError("beside it")

    with pytest.raises(ExceptionGroup) as failed:
        async with background(fail(), asyncio.sleep(60)):
            await asyncio.Event().wait()
    assert [str(error) for error in failed.value.exceptions] == ["beside it"]


async def test_what_is_beside_a_block_that_fails_ends() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def block() -> None:
        async with background(work()):
            await asyncio.sleep(0)
            raise KeyError("the block")

    with pytest.raises(ExceptionGroup) as failed:
        await block()
    assert isinstance(failed.value.exceptions[0], KeyError)
    assert ended.is_set()
