"""Decorators that give a generator an environment keep its types."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, nullcontext
from typing import Any

from async_generator import async_generator, instrument, isolated, preserve, structured, structured_tasks, yield_
from async_generator.typing import AsyncGenerator as Ours
from async_generator.typing import Yields
from typing_extensions import assert_type


@async_generator(structured=True, context="own")
async def declared(n: int) -> Yields[str, bytes, float]:
    await yield_("item")
    return 1.5


@async_generator(context="layered")
async def native(n: int) -> AsyncGenerator[str, bytes]:
    yield "item"


@async_generator(isolated=True)
async def alone(n: int) -> AsyncGenerator[str, bytes]:
    yield "item"


@asynccontextmanager
async def manager() -> AsyncGenerator[str, None]:
    yield "value"


@structured
async def coroutine(n: int) -> str:
    return "result"


@structured
async def structured_native(n: int) -> AsyncGenerator[str, bytes]:
    yield "item"


@structured
@async_generator
async def structured_ours(n: int) -> Yields[str, bytes, float]:
    await yield_("item")
    return 1.5


async def plain(n: int) -> AsyncGenerator[str, bytes]:
    yield "item"


traced = instrument(plain, around=lambda call: nullcontext(call.function))
traced_ours = instrument(structured_ours, around=lambda call: nullcontext())
traced_alone = instrument(alone, around=lambda call: nullcontext())


async def use() -> None:
    assert_type(declared(1), Ours[str, bytes, float])
    assert_type(native(1), Ours[str, bytes, None])
    assert_type(await coroutine(1), str)
    assert_type(structured_native(1), Ours[str, bytes, None])
    assert_type(structured_ours(1), Ours[str, bytes, float])
    assert_type(traced(1), Ours[str, bytes, None])
    assert_type(traced_ours(1), Ours[str, bytes, float])
    async with traced_alone(1) as traced_items:
        assert_type(await traced_items.anext(timeout=1), str)
    async with alone(1) as items:
        assert_type(await items.anext(timeout=1), str)
        assert_type(await items.anext(timeout=1, default=None), str | None)
        assert_type(await items.asend(b""), str)
    async for one in isolated(plain(1)):
        assert_type(one, str)
    async with isolated(manager()) as value:
        assert_type(value, str)
    async for item in preserve(plain(1)):
        assert_type(item, str)
    function: Callable[[int], Coroutine[Any, Any, str]] = coroutine
    assert await function(1)
    loop = asyncio.get_running_loop()
    loop.set_task_factory(structured_tasks)
