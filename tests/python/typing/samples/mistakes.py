"""Every line that ends in `# error` is a mistake that a type checker has to report, and no other line is one."""

from collections.abc import AsyncGenerator as AbstractAsyncGenerator

from async_generator import aclosing, async_generator, asynccontextmanager, yield_, yield_from_
from async_generator.typing import AsyncGenerator, Yields


@async_generator
async def numbers(count: int) -> Yields[int, str, bool]:
    await yield_(count)
    return True


@async_generator
async def native(count: int) -> AbstractAsyncGenerator[int, str]:
    yield count


@async_generator
async def wrong_result() -> Yields[int, str, bool]:
    return "text"  # error


@async_generator
async def wrong_item() -> AbstractAsyncGenerator[int, str]:
    yield "text"  # error


@async_generator
async def delegating() -> None:
    text: str = await yield_from_(numbers(1))  # error
    await yield_from_([1, 2])  # error
    await yield_from_()  # error
    await yield_(1, 2)  # error
    print(text)


@asynccontextmanager
@async_generator
async def connection(port: int) -> Yields[str]:
    await yield_("connected")
    return None


def calls() -> None:
    numbers("text")  # error
    numbers()  # error
    native(count="text")  # error
    connection("text")  # error


def assignments() -> None:
    wrong_item: AsyncGenerator[str, str, bool] = numbers(1)  # error
    wrong_sent: AsyncGenerator[int, bytes, bool] = numbers(1)  # error
    wrong_result: AsyncGenerator[int, str, str] = numbers(1)  # error
    wrong_abstract: AbstractAsyncGenerator[str, str] = numbers(1)  # error
    ours: AsyncGenerator[int, str, None] = numbers(1)  # error
    print(wrong_item, wrong_sent, wrong_result, wrong_abstract, ours)


async def operations() -> None:
    generator = numbers(1)
    await generator.asend(1)  # error
    await generator.asend()  # error
    await generator.athrow("text")  # error
    text: str = await generator.__anext__()  # error
    generator.ag_running = True  # error
    print(generator.ag_nothing)  # error
    for item in generator:  # error
        print(item)
    async for number in generator:
        number.upper()  # error
    async with aclosing(generator) as closed:
        await closed.asend(b"")  # error
    async with aclosing([1]) as never:  # error
        print(never)
    async with connection(1) as value:
        value.nothing()  # error
    with connection(1) as wrong:  # error
        print(wrong)
    print(text)


def plain() -> int:
    return 1


async_generator(plain)  # error
async_generator(5)  # error
asynccontextmanager(plain)  # error
