"""Environments: a coroutine that is resumed between entering the parts of its environment and leaving them.

It is the body of a generator with parts of its own, or (structured) a coroutine by itself. Here, and nowhere else, the
parts are entered. The rules are those of ``python/engine/environment.cpp``.
"""

import platform
import sys
from collections.abc import Callable
from contextvars import Context, copy_context
from types import CoroutineType
from typing import Any

from ._bodies import Thrown
from ._boxes import OwnBox, box_type
from ._errors import executing, reused, thrown
from ._hooks import StructuredHooks, report_unraisable

#: The parts that an environment can have of its own, as in python/engine/environment.hpp.
OWN_HOOKS, OWN_CONTEXT, LAYERED_CONTEXT, OF_COROUTINE, ISOLATED = (1 << bit for bit in range(5))


def usable_parts(parts: int) -> int:
    """Those of an environment's parts that this interpreter can have.

    Raises:
        RuntimeError: for a structured body without reference counts. (An isolated one is no more than that there: what it
            drops goes to the event loop's finalizer.)
    """
    if not parts & OWN_HOOKS or sys.implementation.name == "cpython":
        return parts
    if parts & ISOLATED:
        return parts & ~OWN_HOOKS
    raise RuntimeError(
        f"@structured needs an interpreter that frees an object when its last reference goes, which {platform.python_implementation()}"
        " does not: close generators by `async with aclosing(...)`"
    )


_layer: Any = None


def set_layer(layer: Any, compares: bool = True, /) -> None:
    """Called once by the package, with the class Layer. A layer is asked at each resumption."""
    global _layer
    _layer = layer


# A step of a coroutine: what it awaits or has yielded, its result, or its exception.
AWAITS, RETURNED, RAISED = range(3)
_Step = tuple[int, Any]


def _step(resume: Callable[..., Any], *argument: Any) -> _Step:
    try:
        return AWAITS, resume(*argument)
    except StopIteration as stop:
        return RETURNED, stop.value
    except BaseException as error:
        return RAISED, error
    finally:
        del argument  # an error's traceback has this frame


class _ContextPart:
    """A context of the body's own. Layered: with the caller's variables, and above them the body's."""

    def __init__(self, layered: bool) -> None:
        self._layered = layered
        self._context: Any = None
        self._layer: Any = None

    def run(self, resume: Callable[..., _Step], *arguments: Any) -> _Step:
        if self._context is None:
            self._context = Context() if self._layered else copy_context()
            self._layer = _layer(self._context) if self._layered else None
        if self._layer is not None:
            self._layer.follow(copy_context())
        step: _Step = self._context.run(resume, *arguments)
        if self._layer is not None:
            try:
                self._layer.left()
            except BaseException as error:
                report_unraisable(error, self._layer)
        return step


class coroutine_in_environment:
    """A coroutine in an environment with these parts.

    Args:
        coroutine: the coroutine.
        parts: the parts, and OF_COROUTINE if it is no body of a generator.
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_begun",
        "_closing",
        "_context",
        "_coroutine",
        "_ended",
        "_error",
        "_executing",
        "_held",
        "_hooks",
        "_interrupted",
        "_is_body",
        "_parts",
    )

    def __init__(self, coroutine: Any, parts: int) -> None:
        self._coroutine = coroutine
        self._parts = parts
        self._context = _ContextPart(bool(parts & LAYERED_CONTEXT)) if parts & (OWN_CONTEXT | LAYERED_CONTEXT) else None
        self._hooks: Any = StructuredHooks() if parts & OWN_HOOKS else None
        self._is_body = not parts & OF_COROUTINE
        self._begun = self._executing = self._ended = False
        self._closing: Any = None  # the iterator of the aclose() that is under way
        self._error: Any = None  # what such have raised
        self._held: Any = None  # meanwhile: the body's step, or (None, what to resume it with)
        self._interrupted = False  # something was thrown into a cleanup

    # As a coroutine ----------------------------------------------------------------------------------------------------

    def send(self, value: Any, /) -> Any:
        if self._executing:
            raise executing("coroutine")
        if value is not None and not self._begun and not self._ended:
            raise TypeError("can't send non-None value to a just-started coroutine")
        return self._resume_in_parts(value, None)

    def throw(self, /, *exception: Any) -> Any:
        return self._resume_in_parts(None, thrown(exception))

    def close(self) -> None:
        if self._ended:
            return
        if self._coroutine.cr_frame is None:  # the collector has closed it
            self._ended = True
            return
        if not self._begun and not self._executing:
            self._ended = True
            self._coroutine.close()
            return
        try:
            self._resume_in_parts(None, GeneratorExit())
        except (GeneratorExit, StopIteration, StopAsyncIteration):
            return
        raise RuntimeError("coroutine ignored GeneratorExit")

    def __await__(self) -> Any:
        return self

    __iter__ = __await__

    def __next__(self) -> Any:
        return self.send(None)

    def _resume_in_parts(self, value: Any, error: Any) -> Any:
        if self._executing:
            raise executing("coroutine")
        if self._ended:
            raise reused("coroutine")
        self._executing = self._begun = True
        try:
            how, answer = self._run_in_context(value, error)
        finally:
            self._executing = False
            del error
        if how == AWAITS:
            return answer
        self._ended = True
        if how == RAISED:
            try:
                raise answer
            finally:
                del answer
        raise StopIteration(answer)

    def _run_in_context(self, value: Any, error: Any) -> _Step:
        if self._context is None:
            return self._run_with_hooks(value, error)
        return self._context.run(self._run_with_hooks, value, error)

    def _run_with_hooks(self, value: Any, error: Any) -> _Step:
        if self._hooks is None:
            return self._run(value, error)
        self._hooks.enter()
        try:
            return self._resume(value, error)
        finally:
            self._hooks.leave()

    # One resumption after the other, with its hooks --------------------------------------------------------------------

    def _run(self, value: Any, error: Any) -> _Step:
        if error is not None:
            return _step(self._coroutine.throw, error)
        return _step(self._coroutine.send, value)

    def _resume(self, value: Any, error: Any) -> _Step:
        exits = not self._is_body and isinstance(error, GeneratorExit)  # a close() cannot await
        if self._closing is not None:
            if type(value) is Thrown:
                value, error = None, value.error
            if error is not None:
                self._interrupted = True
                answer = _step(self._closing.throw, error)
            else:
                answer = _step(self._closing.send, value)
            if exits and answer[0] != AWAITS:
                self._hooks.hand_out_dropped()
                if answer[0] == RETURNED:  # the body gets the exit where it stands
                    answer = RAISED, error
            return self._settle(self._close_dropped(answer))
        if exits:
            self._hooks.hand_out_dropped()
        if self._hooks.has_dropped:  # see _may_hold()
            self._held = (None, value, error)
            return self._settle(self._begin_closing())
        return self._settle(self._run(value, error))

    def _settle(self, step: _Step) -> _Step:
        """Close what was dropped, if anything, before a step leaves: the body's, or that of a cleanup which awaits."""
        while self._closing is None and self._hooks.has_dropped:
            exits = not self._is_body and step[0] == RAISED and isinstance(step[1], GeneratorExit)
            if exits:
                self._hooks.hand_out_dropped()
            if exits or not _may_hold(step):
                break
            self._held = step
            step = self._begin_closing()
        return step

    def _begin_closing(self) -> _Step:
        """Close the generators that were dropped, one after the other, up to one that has to wait."""
        while (dropped := self._hooks.take_dropped()) is not None:
            answer = _step(self._start_closing, dropped)
            del dropped
            if answer[0] == AWAITS:
                return answer
            self._end_closing(answer)
        return self._release()

    def _start_closing(self, dropped: Any) -> Any:
        self._closing = dropped.aclose().__await__()
        return self._closing.send(None)

    def _close_dropped(self, answer: _Step) -> _Step:
        """The cleanup under way has answered."""
        if answer[0] == AWAITS:
            return answer
        self._end_closing(answer)
        return self._begin_closing()

    def _end_closing(self, answer: _Step) -> None:
        self._closing = None
        if answer[0] == RAISED:
            _set_context(answer[1], self._error)
            self._error = answer[1]

    def _release(self) -> _Step:
        """All is closed. What was held takes its way; an error of the cleanups takes its place."""
        error, self._error = self._error, None
        interrupted, self._interrupted = self._interrupted, False
        held, self._held = self._held, None
        if held[0] is None:
            if error is None:
                return self._run(held[1], held[2])
            _set_context(error, held[2])
            return self._run(None, error)
        if error is None:
            return held  # type: ignore[no-any-return]
        if held[0] == RAISED:
            _set_context(error, held[1])
        if held[0] != AWAITS:
            return RAISED, error
        # What cancels the body's wait cancels what it waits for.
        if interrupted and hasattr(held[1], "_asyncio_future_blocking"):
            held[1].cancel()
        del held
        return self._run(None, error)

    # Attributes --------------------------------------------------------------------------------------------------------

    @property
    def __class__(self) -> Any:
        """isinstance() says that it is a native coroutine, which it runs."""
        return CoroutineType

    @__class__.setter
    def __class__(self, value: Any) -> None:
        raise AttributeError("attribute '__class__' of 'coroutine' objects is not writable")

    @property
    def __name__(self) -> str:
        return str(self._coroutine.__name__)

    @__name__.setter
    def __name__(self, name: str) -> None:
        self._coroutine.__name__ = name

    def __getattr__(self, name: str) -> Any:
        if name == "__qualname__":  # which no property can be called
            return self._coroutine.__qualname__
        raise AttributeError(f"'coroutine' object has no attribute '{name}'")

    @property
    def cr_await(self) -> Any:
        """object being awaited on, or None"""
        return self._closing if self._closing is not None else self._coroutine.cr_await

    @property
    def cr_running(self) -> bool:
        """whether the coroutine executes"""
        return self._executing

    @property
    def cr_suspended(self) -> bool:
        """whether the coroutine has begun, waits, and has not ended"""
        return self._begun and not self._executing and not self._ended

    @property
    def cr_state(self) -> str:
        """CORO_CREATED, CORO_RUNNING, CORO_SUSPENDED or CORO_CLOSED"""
        if self._executing:
            return "CORO_RUNNING"
        if self._ended:
            return "CORO_CLOSED"
        return "CORO_SUSPENDED" if self._begun else "CORO_CREATED"

    @property
    def cr_frame(self) -> Any:
        """frame of the coroutine"""
        return self._coroutine.cr_frame

    @property
    def cr_code(self) -> Any:
        """code of the coroutine"""
        return self._coroutine.cr_code

    @property
    def cr_origin(self) -> Any:
        """where the coroutine was created"""
        return self._coroutine.cr_origin

    def __repr__(self) -> str:
        return f"<coroutine object {self.__qualname__} at {id(self):#x}>"

    def __del__(self) -> None:
        """A coroutine that waits is closed, as a native one is. One that has not begun warns itself."""
        if self._begun and not self._executing and not self._ended:
            self.close()
        if self._hooks is not None:
            self._hooks.hand_out_dropped()


def _may_hold(step: _Step) -> bool:
    """Whether a step can be kept while something else is awaited: all but a wait that the event loop was told of before it
    sees the step. asyncio's futures are independent of who waits for them; in trio and curio the task that asks to be woken
    has been noted as waiting by then."""
    if step[0] != AWAITS or step[1] is None or type(step[1]) in (box_type, OwnBox):
        return True
    return hasattr(step[1], "_asyncio_future_blocking")


def _set_context(error: Any, before: Any) -> None:
    """An error was raised in a cleanup that ran while another was about: which ends the chain of its contexts, as in
    contextlib.AsyncExitStack."""
    for _ in range(1000):  # a chain may be a ring
        if before is None or before is error:
            return
        if error.__context__ is None:
            error.__context__ = before
            return
        error = error.__context__


def in_environment(coroutine: Any, parts: int, /) -> Any:
    """A structured coroutine."""
    if type(coroutine) is not CoroutineType:
        raise TypeError("in_environment() takes a coroutine and the parts of its environment")
    return coroutine_in_environment(coroutine, usable_parts(parts) | OF_COROUTINE)
