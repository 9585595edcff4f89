"""Streams: the types of what the combinators return."""

from collections.abc import AsyncIterator

from async_generator import aclosing, streams
from async_generator.typing import AsyncGenerator
from typing_extensions import assert_type


async def numbers() -> AsyncIterator[int]:
    yield 1


async def texts() -> AsyncIterator[str]:
    yield "1"


async def total(value: int, item: int) -> int:
    return value + item


async def use() -> None:
    assert_type(streams.merge(numbers(), numbers()), AsyncGenerator[int, None, None])
    async with aclosing(streams.race(numbers(), numbers())) as items:
        async for item in items:
            assert_type(item, int)
    async for pair in streams.zip(numbers(), texts(), strict=True):
        assert_type(pair, tuple[int, str])
    async for latest in streams.zip_latest(numbers(), texts(), texts()):
        assert_type(latest, tuple[int, str, str])
    left: list[int] = []
    async for item in streams.prefetch(numbers(), 3, left_over=left.extend):
        assert_type(item, int)
    async for chunk in streams.chunks(texts(), 3, within=0.5):
        assert_type(chunk, list[str])
    assert_type(await streams.collect(streams.timeout(texts(), 3, then="end")), list[str])
    assert_type(await streams.collect(texts(), "".join), str)
    async with streams.broadcast(numbers(), 3, slow="drop") as shared:
        assert_type(shared.reader(), AsyncGenerator[int, None, None])
        async for item in shared:
            assert_type(item, int)
    async for item in streams.from_thread(range(3), 64, within=0.1):
        assert_type(item, int)
    async for letter in streams.flat_map(texts(), list):
        assert_type(letter, str)
    async for text in streams.flat_map(numbers(), lambda _: texts()):
        assert_type(text, str)
    async for length in streams.scan(texts(), lambda value, text: value + len(text), 0):
        assert_type(length, int)
    async for item in streams.take_until(streams.scan(numbers(), total), streams.collect(texts())):
        assert_type(item, int)
    async for item in streams.first(streams.from_iterable([1, 2])):
        assert_type(item, int)
