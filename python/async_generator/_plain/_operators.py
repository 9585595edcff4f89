"""``yield_`` and ``yield_from_``. The second goes through PEP 828's steps by itself: a delegate is driven from there."""

import inspect
import sys
from typing import Any

from ._bodies import Thrown, hand_up, hand_up_and_raise, is_abandoned
from ._boxes import OwnBox, box
from ._errors import outside_generator
from ._generators import async_generator
from ._operations import DRIVERS

_MISSING: Any = object()
_COROUTINES = inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


async def yield_(value: Any = None) -> Any:
    boxed: Any = OwnBox((value,))
    del value  # the consumer has it; nothing here keeps it alive
    place = _place(sys._getframe().f_back)
    if place is not _OURS:
        _wrap_for_another(boxed, place, "yield_")
    return await hand_up_and_raise(boxed, place is _OURS)


async def yield_from_(delegate: Any) -> Any:
    frame = sys._getframe().f_back
    if _place(frame) is _NOWHERE and not _is_in_abandoned(frame):
        raise outside_generator("yield_from_")
    del frame
    iterator = _iterate(delegate)
    if not hasattr(type(iterator), "__anext__"):
        # `async def __aiter__`, as Python 3.5.0 had it and 1.10 accepts it: what it returns is the iterator.
        iterator = await iterator
    del delegate
    received: Any = None
    while True:
        # What is thrown in is not handled while the delegate meets it.
        if type(received) is Thrown:
            begin, arguments = await _beginning_of_throw(iterator, received.error)
        elif received is None:
            begin, arguments = _next_of, (iterator,)
        else:
            begin, arguments = iterator.asend, (received,)
        received = None
        try:
            boxed = OwnBox((await begin(*arguments),))
        except StopAsyncIteration as stop:
            return _stop_value(stop)
        finally:
            del begin, arguments
        try:
            place = _place(sys._getframe().f_back)
            if place is not _OURS:
                _wrap_for_another(boxed, place, "yield_from_")
            received = await hand_up(boxed, place is _OURS)
        except GeneratorExit as exit:  # the interpreter has closed what is awaited here
            received = Thrown(exit)


async def _beginning_of_throw(iterator: Any, thrown: BaseException) -> Any:
    """What makes a delegate's answer to an exception, and its arguments. Or raises it, where the delegate is closed by it or
    has no ``athrow()``."""
    closes = isinstance(thrown, GeneratorExit)
    method = getattr(iterator, "aclose" if closes else "athrow", None)
    try:
        thrown = _in_this_frame(thrown)
        if closes:
            if method is not None:
                await method()
            raise thrown
        if method is not None:
            return method, (thrown,)
        if isinstance(thrown, StopIteration):
            raise RuntimeError("generator raised StopIteration") from thrown
        raise thrown from None
    finally:
        del thrown  # whose traceback has this frame


def _in_this_frame(error: BaseException) -> BaseException:
    """An exception with the context that it has where it is raised."""
    try:
        raise error
    except BaseException as raised:
        return raised
    finally:
        del error


def _next_of(iterator: Any) -> Any:
    method = getattr(type(iterator), "__anext__", _MISSING)
    if method is _MISSING:
        raise TypeError(f"'{type(iterator).__name__:.100}' object is not an async iterator")
    return method(iterator)


def _stop_value(stop: StopAsyncIteration) -> Any:
    """StopAsyncIteration's value: its attribute where it has one (3.16, subclasses), else its first argument."""
    try:
        return stop.value  # type: ignore[attr-defined]
    except AttributeError:
        return stop.args[0] if stop.args else None


def _iterate(source: Any) -> Any:
    if type(source) is async_generator:
        return source
    method = getattr(type(source), "__aiter__", _MISSING)
    if method is _MISSING:
        raise TypeError(
            f"'{type(source).__name__:.100}' object is not an async iterable: yield_from_() delegates to async iterables "
            "only; for another iterable write `for item in ...: await yield_(item)`"
        )
    iterator = method(source)
    if hasattr(type(iterator), "__anext__") or hasattr(type(iterator), "__await__"):
        return iterator
    raise TypeError(f"aiter() returned not an async iterator of type '{type(iterator).__name__:.100}'")


def yield_from_call(function: Any, /, *arguments: Any) -> Any:
    """``yield_from_()`` of what a call returns."""
    return yield_from_(function(*arguments))


# Who takes an item: a generator of ours, or a native one; or nobody.
_OURS, _NATIVE, _NOWHERE = "ours", "native", "nowhere"
_KIND = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def _place(frame: Any) -> str:
    """Who takes the item of an operator that is awaited in this frame: the first on the way down the stack."""
    while frame is not None:
        if frame.f_globals is DRIVERS:
            return _OURS
        flags = frame.f_code.co_flags
        if flags & _KIND == inspect.CO_ASYNC_GENERATOR:  # a converted one has both flags, on 3.10 and PyPy
            return _NATIVE
        if not flags & _COROUTINES:
            return _farther(frame)
        frame = frame.f_back
    return _NOWHERE


def _farther(frame: Any) -> str:
    """The same where something else than a coroutine is between: a generator further down may still take the item."""
    while frame is not None:
        if frame.f_globals is DRIVERS:
            return _NATIVE
        frame = frame.f_back
    return _NOWHERE


def _wrap_for_another(boxed: OwnBox, place: str, operator: str) -> None:
    """Put an item into the wrapper that a native generator knows, or what is between a generator and the operator."""
    if place is _NOWHERE and not _is_in_abandoned(sys._getframe(1).f_back):
        raise outside_generator(operator)
    boxed.append(box(boxed.pop()))


def _is_in_abandoned(frame: Any) -> bool:
    """Whether a body is closed by the interpreter: an error here could be caught, and the body run for ever."""
    while frame is not None and frame.f_code.co_flags & _COROUTINES:
        if is_abandoned(frame):
            return True
        frame = frame.f_back
    return False


class _IsYield(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return getattr(instance, "cr_code", None) is yield_.__code__


class yield_awaitable(metaclass=_IsYield):
    """What yield_() returns: a coroutine. ``isinstance()`` says which ones are."""
