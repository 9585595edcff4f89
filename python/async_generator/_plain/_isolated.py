"""Bases of isolated generators: a step in a task and a context of the body's own, and the operations that begin there.

The engine resumes an idle body by itself (``python/engine/isolated.cpp``). Here each operation is the coroutine that
``async_generator._isolated`` has for it.
"""

from collections.abc import Callable
from typing import Any

from ._errors import reused, thrown

_task_swap: Any = None


def set_task_swap(swap: Callable[[Any, Any], Any], tasks: Any, /) -> None:
    """Called once by the package, with what makes a task the current one and returns the one before.

    Args:
        swap: that function.
        tasks: ignored; a dict in which the engine does the same.
    """
    global _task_swap
    _task_swap = swap


class isolated_body:
    """The attributes of a body with a task of its own, as in ``_engine.pyi``."""

    generator: Any = None
    loop: Any = None
    task: Any = None
    context: Any = None
    operation: Any = None
    consumer: Any = None
    outcomes: Any = None
    thread: int = 0
    woken: bool = False
    closing: bool = False
    ended: bool = False
    stepping: bool = False

    def step(self, function: Callable[..., Any], /, *arguments: Any) -> Any:
        """Call a function in the body's own task and context.

        Raises:
            TypeError: if there is no task yet.
        """
        if _task_swap is None or self.task is None or self.loop is None or self.context is None:
            raise TypeError("step() takes a function, and a task to call it in")
        before = _task_swap(self.loop, self.task)
        try:
            return self.context.run(self._call, function, arguments)
        finally:
            del arguments  # an exception's traceback has this frame
            _task_swap(self.loop, before)

    def _call(self, function: Callable[..., Any], arguments: Any) -> Any:
        self.stepping = True
        try:
            return function(*arguments)
        finally:
            del arguments
            self.stepping = False


class isolated_generator:
    """What begins an anext or asend of an isolated generator."""

    __slots__ = ("_body",)

    def __aiter__(self) -> Any:
        return self

    def __anext__(self) -> Any:
        return isolated_operation(self, None)

    def asend(self, value: Any, /) -> Any:
        """asend(value) -> awaitable: send a value in and wait for the next item."""
        return isolated_operation(self, value)


class isolated_operation:
    """The awaitable of an anext or asend. Its first step makes the coroutine that performs it."""

    __slots__ = ("__weakref__", "_argument", "_ended", "_generator", "_rest")

    def __init__(self, generator: Any, argument: Any) -> None:
        self._generator = generator
        self._argument = argument
        self._rest: Any = None
        self._ended = False

    def __await__(self) -> Any:
        return self

    __iter__ = __await__

    def send(self, value: Any, /) -> Any:
        if self._ended:
            raise reused("__anext__()/asend()")
        if self._rest is None:
            value = self._argument if value is None else value
            self._rest, value = self._generator._operate(value), None
        return self._step(self._rest.send, value)

    def __next__(self) -> Any:
        return self.send(None)

    def throw(self, /, *exception: Any) -> Any:
        if self._ended:
            raise reused("__anext__()/asend()")
        if self._rest is None:  # as a coroutine that has not begun
            self._ended = True
            raise thrown(exception)
        try:
            return self._step(self._rest.throw, *exception)
        finally:
            del exception

    def _step(self, resume: Any, *argument: Any) -> Any:
        try:
            return resume(*argument)
        except ValueError:  # from the body that it resumes: it goes on
            self._ended = not getattr(self._rest, "cr_running", False)
            raise
        except BaseException:
            self._ended = True
            raise
        finally:
            del argument

    def close(self) -> None:
        if not self._ended:
            self._ended = True
            if self._rest is not None:
                self._rest.close()

    def __del__(self) -> None:
        if self._rest is None and not self._ended:
            import warnings

            text = f"coroutine method 'asend' of '{self.__qualname__}' was never awaited"
            warnings.warn(text, RuntimeWarning, stacklevel=2, source=self._generator)

    @property
    def __name__(self) -> str:
        return str(self._generator.__name__)

    def __getattr__(self, name: str) -> Any:
        if name == "__qualname__":  # which no property can be called
            return self._generator.__qualname__
        if name in ("cr_frame", "cr_code", "cr_await"):
            return getattr(self._rest, name, None)
        if name == "cr_running":
            return getattr(self._rest, name, False)
        raise AttributeError(f"'isolated_operation' object has no attribute '{name}'")
