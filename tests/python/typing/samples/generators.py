"""Generators and what their operations answer; delegation, context managers, introspection."""

from collections.abc import AsyncGenerator as AbstractAsyncGenerator
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterator
from types import AsyncGeneratorType, CodeType, FrameType
from typing import Any

import async_generator as package
from async_generator import (
    AlreadyRunning,
    aclosing,
    async_generator,
    asynccontextmanager,
    get_asyncgen_hooks,
    isasyncgen,
    isasyncgenfunction,
    set_asyncgen_hooks,
    yield_,
    yield_from_,
)
from async_generator.typing import AsyncGenerator, Yields
from typing_extensions import assert_type


@async_generator
async def numbers(count: int) -> Yields[int, str, bool]:
    await yield_(count)
    return True


@async_generator
async def lines() -> AbstractAsyncGenerator[bytes, None]:
    yield b""


async def native() -> AbstractAsyncGenerator[int, str]:
    yield 1


async def operations() -> None:
    generator = numbers(1)
    assert_type(await generator.__anext__(), int)
    assert_type(await anext(generator), int)
    assert_type(await anext(generator, None), int | None)
    assert_type(await generator.asend("answer"), int)
    assert_type(await generator.asend(value="answer"), int)
    assert_type(await generator.athrow(ValueError()), int)
    assert_type(await generator.athrow(ValueError), int)
    assert_type(await generator.athrow(ValueError, "text"), int)
    assert_type(await generator.aclose(), None)
    assert_type(aiter(generator), AsyncGenerator[int, str, bool])
    async for item in generator:
        assert_type(item, int)
    assert_type([item async for item in lines()], list[bytes])


def attributes() -> None:
    generator = numbers(1)
    assert_type(generator.__name__, str)
    assert_type(generator.__qualname__, str)
    assert_type(generator.ag_running, bool)
    assert_type(generator.ag_suspended, bool)
    assert_type(generator.ag_code, CodeType)
    assert_type(generator.ag_frame, FrameType | None)
    generator.__name__ = "renamed"
    operation = generator.asend("answer")
    assert_type(operation.ag_gen, AsyncGenerator[Any, Any, Any])
    assert_type(operation.__name__, str)
    assert_type(operation.cr_code, CodeType)
    operation.close()


def fits_the_abstract_types() -> None:
    generator = numbers(1)
    abstract: AbstractAsyncGenerator[int, str] = generator
    iterator: AsyncIterator[int] = generator
    iterable: AsyncIterable[object] = generator
    wider: AsyncGenerator[object, str, object] = generator
    narrower: AsyncGenerator[object, str] = native_result()
    awaited: Coroutine[Any, Any, int] = generator.__anext__()
    function: Callable[[int], AbstractAsyncGenerator[int, str]] = numbers
    print(abstract, iterator, iterable, wider, narrower, awaited, function)


@async_generator
async def native_result() -> AbstractAsyncGenerator[int, str]:
    yield 1


@async_generator
async def delegating(unknown: AsyncIterable[int]) -> Yields[int, str, bool]:
    assert_type(await yield_from_(lines()), None)
    assert_type(await yield_from_(native()), Any)
    assert_type(await yield_from_(unknown), Any)
    result = await yield_from_(numbers(1))
    assert_type(result, bool)
    answer: str = await yield_(1)
    print(answer)
    return result


@asynccontextmanager
@async_generator
async def connection(port: int) -> Yields[str]:
    await yield_("connected")
    return None


@asynccontextmanager
@async_generator
async def native_connection(port: int) -> AbstractAsyncGenerator[bytes, None]:
    yield b"connected"


@asynccontextmanager
async def plain_connection(port: int) -> AsyncIterator[int]:
    yield port


async def natives(name: str) -> AbstractAsyncGenerator[int, str]:
    yield 1


async def iterated(name: str) -> AsyncIterator[int]:
    yield 1


def synchronous(name: str) -> Iterator[int]:
    yield 1


async def context_managers() -> None:
    async with aclosing(numbers(1)) as generator:
        assert_type(generator, AsyncGenerator[int, str, bool])
    async with connection(1) as value:
        assert_type(value, str)
    async with native_connection(port=1) as data:
        assert_type(data, bytes)
    async with plain_connection(1) as number:
        assert_type(number, int)

    @connection(1)
    async def decorated(name: str) -> int:
        return 1

    assert_type(await decorated("name"), int)
    around = connection(1)
    assert_type(around(numbers)(1), AsyncGenerator[int, str, bool])
    assert_type(around(natives)("name"), AsyncGenerator[int, str, None])
    assert_type(around(iterated)("name"), AsyncGenerator[int, Any, None])
    assert_type(around(synchronous)("name"), AbstractAsyncGenerator[int, None])


def introspection(thing: object, generator: AbstractAsyncGenerator[int, str]) -> None:
    if isasyncgen(thing):
        assert_type(thing, AsyncGeneratorType[Any, Any] | AsyncGenerator[Any, Any, Any])
        print(thing.ag_running)
    if isasyncgen(generator):
        print(generator.ag_code, generator.ag_frame)
    if isasyncgenfunction(thing):
        print(thing().aclose())
    if isasyncgenfunction(numbers):
        numbers(1)


def hooks_and_errors() -> None:
    assert_type(package.__version__, str)
    hooks = get_asyncgen_hooks()
    set_asyncgen_hooks(*hooks)
    set_asyncgen_hooks(firstiter=None, finalizer=None)
    try:
        pass
    except AlreadyRunning as error:
        as_native: RuntimeError = error
        as_before: ValueError = error
        print(as_native, as_before)
