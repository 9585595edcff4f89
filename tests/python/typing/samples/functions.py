"""What @async_generator makes of functions: item, sent and result types."""

import functools
from collections.abc import AsyncGenerator as AbstractAsyncGenerator
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, TypedDict, TypeVar

from async_generator import async_generator, yield_
from async_generator.typing import AsyncGenerator, Yields
from typing_extensions import assert_type

T = TypeVar("T")

# Native syntax: the annotation says everything -------------------------------------------------------------------------


@async_generator
async def native(count: int, /, *, start: str = "") -> AbstractAsyncGenerator[int, str]:
    answer = yield count
    assert_type(answer, str)


@async_generator
async def native_without_send(count: int) -> AbstractAsyncGenerator[bytes, None]:
    yield b""


@async_generator
async def native_as_iterator() -> AsyncIterator[bytes]:
    yield b""


def uses_native() -> None:
    assert_type(native(1, start=""), AsyncGenerator[int, str, None])
    assert_type(native_without_send(1), AsyncGenerator[bytes, None, None])
    assert_type(native_without_send(1), AsyncGenerator[bytes])
    assert_type(native_as_iterator(), AsyncGenerator[bytes, Any, None])


# await yield_(): the result type is known, the rest is Any, unless Yields says it ------------------------------------


@async_generator
async def result_only(count: int) -> bool:
    await yield_(count)
    return True


@async_generator
async def no_result() -> None:
    await yield_()


@async_generator
async def declared(count: int, name: str = "") -> Yields[int, str, bool]:
    answer: str = await yield_(count)
    return answer == name


@async_generator
async def declared_item() -> Yields[bytes]:
    await yield_(b"")
    return None  # mypy asks for it wherever None is only one of the types that a function returns


@async_generator
async def declared_union(flag: bool) -> Yields[int | None, list[str], bytes | int | None]:
    await yield_(None)
    return b"" if flag else None


def uses_coroutine_functions() -> None:
    assert_type(result_only(1), AsyncGenerator[Any, Any, bool])
    assert_type(no_result(), AsyncGenerator[Any, Any, None])
    assert_type(declared(1, name=""), AsyncGenerator[int, str, bool])
    assert_type(declared_item(), AsyncGenerator[bytes, None, None])
    assert_type(declared_union(True), AsyncGenerator[int | None, list[str], bytes | int | None])


# Results of every kind ----------------------------------------------------------------------------------------------


class Options(TypedDict):
    depth: int


@async_generator
async def result_list() -> list[int]:
    return []


@async_generator
async def result_optional() -> dict[str, int] | None:
    return None


@async_generator
async def result_tuple() -> tuple[int, str]:
    return 1, ""


@async_generator
async def result_function() -> Callable[[int], str]:
    return str


@async_generator
async def result_class() -> type[int]:
    return int


@async_generator
async def result_typed_dict() -> Options:
    return {"depth": 1}


@async_generator
async def result_object() -> object:
    return None


@async_generator
async def result_any() -> Any:
    return None


def uses_results() -> None:
    assert_type(result_list(), AsyncGenerator[Any, Any, list[int]])
    assert_type(result_optional(), AsyncGenerator[Any, Any, dict[str, int] | None])
    assert_type(result_tuple(), AsyncGenerator[Any, Any, tuple[int, str]])
    assert_type(result_function(), AsyncGenerator[Any, Any, Callable[[int], str]])
    assert_type(result_class(), AsyncGenerator[Any, Any, type[int]])
    assert_type(result_typed_dict(), AsyncGenerator[Any, Any, Options])
    assert_type(result_object(), AsyncGenerator[Any, Any, object])
    assert_type(result_any(), AsyncGenerator[Any, Any, Any])


# Generic functions and classes -----------------------------------------------------------------------------------------


@async_generator
async def generic_native(values: list[T]) -> AbstractAsyncGenerator[T, None]:
    for value in values:
        yield value


@async_generator
async def generic_result(value: T) -> T:
    await yield_(value)
    return value


@async_generator
async def generic_declared(value: T) -> Yields[T, str, list[T]]:
    await yield_(value)
    return [value]


class Box(Generic[T]):
    def __init__(self, value: T) -> None:
        self.value = value

    @async_generator
    async def native(self) -> AbstractAsyncGenerator[T, str]:
        yield self.value

    @async_generator
    async def result(self) -> T:
        return self.value


def uses_generics() -> None:
    assert_type(generic_native([1]), AsyncGenerator[int, None, None])
    assert_type(generic_result(1), AsyncGenerator[Any, Any, int])
    assert_type(generic_declared(1), AsyncGenerator[int, str, list[int]])
    assert_type(Box(1).native(), AsyncGenerator[int, str, None])
    assert_type(Box(1).result(), AsyncGenerator[Any, Any, int])


# Methods and other callables ------------------------------------------------------------------------------------------


class Source:
    @async_generator
    async def method(self, count: int) -> Yields[int, str, bool]:
        return True

    @async_generator
    async def native_method(self, count: int) -> AbstractAsyncGenerator[int, str]:
        yield count

    @staticmethod
    @async_generator
    async def static_outside(count: int) -> Yields[int, str, bool]:
        return True

    @async_generator
    @staticmethod
    async def static_inside(count: int) -> Yields[int, str, bool]:
        return True

    @classmethod
    @async_generator
    async def class_outside(cls, count: int) -> Yields[int, str, bool]:
        return True

    @async_generator
    @classmethod
    async def class_inside(cls, count: int) -> Yields[int, str, bool]:
        return True

    async def __call__(self, count: int) -> Yields[int, str, bool]:
        return True


async def plain(count: int) -> Yields[int, str, bool]:
    return True


def uses_methods() -> None:
    assert_type(Source().method(1), AsyncGenerator[int, str, bool])
    assert_type(Source.method(Source(), 1), AsyncGenerator[int, str, bool])
    assert_type(Source().native_method(1), AsyncGenerator[int, str, None])
    assert_type(Source().static_outside(1), AsyncGenerator[int, str, bool])
    assert_type(Source.static_outside(1), AsyncGenerator[int, str, bool])
    assert_type(Source().static_inside(1), AsyncGenerator[int, str, bool])
    assert_type(Source.static_inside(1), AsyncGenerator[int, str, bool])
    assert_type(Source().class_outside(1), AsyncGenerator[int, str, bool])
    assert_type(Source.class_outside(1), AsyncGenerator[int, str, bool])
    assert_type(Source().class_inside(1), AsyncGenerator[int, str, bool])
    assert_type(Source.class_inside(1), AsyncGenerator[int, str, bool])
    assert_type(async_generator(Source())(1), AsyncGenerator[int, str, bool])
    assert_type(async_generator(functools.partial(plain, 1))(), AsyncGenerator[int, str, bool])
    assert_type(async_generator(lambda: plain(1))(), AsyncGenerator[int, str, bool])
