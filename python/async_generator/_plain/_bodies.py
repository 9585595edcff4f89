"""Bodies: how an exception enters one, and the frames of native async generators that cannot run as coroutines.

A body is anything with the methods and attributes of a coroutine: a coroutine, one in an environment, a ``NativeBody``.
It is resumed by ``send()``, and hands up a wrapped item (it yields) or anything else (it awaits).
"""

import types
from collections.abc import Generator
from sys import get_asyncgen_hooks, set_asyncgen_hooks
from typing import Any

from ._boxes import OwnBox


class Thrown:
    """An exception on its way to a ``yield_()`` or ``yield_from_()`` that a body, or a helper, awaits.

    It is sent, and raised there. If it were thrown, the interpreter would close what the body awaits, at a GeneratorExit,
    instead of resuming it (CPython's Objects/genobject.c, _gen_throw); a helper could not await while it cleans up.
    """

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


@types.coroutine
def hand_up(boxed: OwnBox, ours: bool) -> Generator[Any, Any, Any]:
    """Hand up a wrapper, from which our driver takes the item; or what is in it, which is another wrapper.

    Nothing here keeps the item. Returns what the consumer sends; may be a Thrown.
    """
    try:
        return (yield boxed if ours else boxed.pop())
    except BaseException as error:
        return Thrown(error)  # also a StopIteration, which could not leave this (PEP 479)


@types.coroutine
def hand_up_and_raise(boxed: OwnBox, ours: bool) -> Generator[Any, Any, Any]:
    """The same; raises what was thrown. A StopIteration becomes RuntimeError: it could never leave the await (PEP 479)."""
    answer = yield boxed if ours else boxed.pop()
    if type(answer) is not Thrown:
        return answer
    try:
        raise answer.error
    finally:
        del answer  # the error's traceback has this frame


_HANDING_UP = (hand_up.__code__, hand_up_and_raise.__code__)


def throw_at_yield(body: Any, error: BaseException) -> Any:
    """Throw an exception into a body that is suspended at a yield. Returns or raises as ``throw()`` of a coroutine."""
    try:
        return body.send(Thrown(error)) if waits_at_operator(body) else body.throw(error)
    finally:
        del error  # whose traceback has this frame


def waits_at_operator(body: Any) -> bool:
    """Whether a body is suspended at an awaited operator, through coroutines only. Otherwise it is at a ``yield``."""
    awaited = body.cr_await
    while awaited is not None:
        inner = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
        if inner is None:
            return getattr(awaited, "gi_code", None) in _HANDING_UP
        awaited = inner
    return False


def abandon(body: Any) -> None:
    """Mark a body that could not be closed: the interpreter closes it once more. What it then yields has no consumer."""
    frame = body.cr_frame
    if frame is not None:
        frame.f_trace = _abandoned


def _abandoned(frame: Any, event: str, argument: Any) -> None:
    """The mark, in a place that every frame has: a trace function, which does nothing where one is called."""


def is_abandoned(frame: Any) -> bool:
    """Whether a frame is that of such a body."""
    return frame.f_trace is _abandoned


class NativeBody:
    """The frame of a native async generator as a body, driven by its own operations.

    Args:
        generator: a native async generator that was not iterated yet.
    """

    __slots__ = ("_generator", "_operation")

    def __init__(self, generator: Any) -> None:
        self._generator = generator
        self._operation: Any = None  # the awaitable of the operation that is under way, at an await or an operator

    def send(self, value: Any) -> Any:
        if self._operation is None:
            return self._begin(self._generator.asend, value)
        return self._step(self._operation.send, value)

    def throw(self, error: BaseException) -> Any:
        if self._operation is None:
            try:
                return self._begin(self._generator.athrow, error)
            finally:
                del error
        try:
            return self._step(self._operation.throw, error)
        finally:
            del error

    def close(self) -> None:
        if self._operation is not None:
            self._operation.close()
        elif self._generator.ag_frame is not None:
            try:
                self._begin(self._generator.athrow, GeneratorExit())
            except (GeneratorExit, StopIteration):
                return
            raise RuntimeError("coroutine ignored GeneratorExit")

    def _begin(self, operation: Any, argument: Any) -> Any:
        hooks = get_asyncgen_hooks()
        set_asyncgen_hooks(None, None)  # the generator that has this body calls them
        try:
            self._operation = operation(argument)
        finally:
            del argument
            set_asyncgen_hooks(*hooks)
        return self._step(self._operation.send, None)

    def _step(self, resume: Any, argument: Any) -> Any:
        try:
            return resume(argument)
        except StopIteration as stop:
            self._operation = None
            return OwnBox((stop.value,))
        except StopAsyncIteration:
            self._operation = None
        except BaseException:
            self._operation = None
            raise
        finally:
            del argument
        raise StopIteration

    @property
    def cr_await(self) -> Any:
        return self._generator.ag_await

    @property
    def cr_frame(self) -> Any:
        return self._generator.ag_frame

    @property
    def cr_code(self) -> Any:
        return self._generator.ag_code

    @property
    def cr_running(self) -> bool:
        frame_runs = getattr(self._generator, "ag_running", False)
        return bool(frame_runs) and self._generator.ag_await is None

    @property
    def __name__(self) -> str:
        return str(self._generator.__name__)

    @__name__.setter
    def __name__(self, name: str) -> None:
        self._generator.__name__ = name

    def __getattr__(self, name: str) -> Any:
        if name == "__qualname__":  # which no property can be called
            return self._generator.__qualname__
        raise AttributeError(f"'coroutine' object has no attribute '{name}'")
