"""The generator object (PEP 525, "Asynchronous Generator Object"): what a user sees of it, and how it ends."""

from sys import get_asyncgen_hooks
from types import AsyncGeneratorType, GenericAlias
from typing import Any, final

from ._bodies import abandon
from ._errors import warn_three_arguments
from ._operations import (
    CLOSED,
    CREATED,
    async_generator_asend,
    async_generator_athrow,
    close_at_once,
)

_MISSING: Any = object()


@final
class async_generator:
    """An async generator whose body is a coroutine. Made by calls of decorated functions only."""

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_body",
        "_executing",
        "_finalizer",
        "_hooked",
        "_idle",
        "_ignored_exit",
        "_send",
        "_state",
    )

    _body: Any
    _executing: bool  # a driver is inside
    _finalizer: Any
    _hooked: bool  # firstiter was called, and the finalizer captured
    _idle: list[None]
    _ignored_exit: bool
    _send: Any  # the body's
    _state: int

    def __new__(cls, *arguments: Any, **keywords: Any) -> Any:
        raise TypeError("cannot create 'async_generator' instances")

    def __init_subclass__(cls) -> None:
        raise TypeError("type 'async_generator' is not an acceptable base type")

    # Operations --------------------------------------------------------------------------------------------------------

    def __aiter__(self) -> Any:
        """Return the generator itself."""
        return self

    def __anext__(self) -> Any:
        """__anext__() -> awaitable of the next item, as asend(None)."""
        if not self._hooked:
            self._begin_hooks()
        return async_generator_asend(self, "anext", None)

    def asend(self, value: Any = _MISSING) -> Any:
        """asend(value) -> awaitable of the next item; `value` is what the yield evaluates to.

        Raises StopAsyncIteration(result) when the body returns, TypeError for a value other than None before the
        body has begun, RuntimeError while another operation is under way (PEP 525)."""
        if value is _MISSING:
            raise TypeError("async_generator.asend() takes exactly one argument (0 given)")
        if not self._hooked:
            self._begin_hooks()
        return async_generator_asend(self, "asend", value)

    def athrow(self, type: Any = _MISSING, value: Any = _MISSING, traceback: Any = _MISSING) -> Any:
        """athrow(exception) -> awaitable of the next item; the exception is raised at the yield.

        The form athrow(type, value, traceback) is deprecated from Python 3.12 on. On a finished generator the
        awaitable answers None (PEP 525)."""
        if type is _MISSING:
            raise TypeError("athrow expected at least 1 argument, got 0")
        arguments = (type,)
        if value is not _MISSING or traceback is not _MISSING:
            warn_three_arguments("athrow", 3)
            value = None if value is _MISSING else value
            arguments = (type, value, None if traceback is _MISSING else traceback)  # type: ignore[assignment]
        if not self._hooked:
            self._begin_hooks()
        return async_generator_athrow(self, "athrow", arguments)

    def aclose(self, *given: Any) -> Any:
        """aclose() -> awaitable that raises GeneratorExit at the yield and awaits the end of the body.

        Raises RuntimeError if the body yields again (PEP 525)."""
        if given:
            raise TypeError(f"async_generator.aclose() takes no arguments ({len(given)} given)")
        if not self._hooked:
            self._begin_hooks()
        return async_generator_athrow(self, "aclose", None)

    def _begin_hooks(self) -> None:
        """Call the thread's firstiter hook and keep its finalizer, at the first operation."""
        self._hooked = True
        firstiter, self._finalizer = get_asyncgen_hooks()
        if firstiter is not None:
            firstiter(self)

    # Attributes --------------------------------------------------------------------------------------------------------

    @property
    def __class__(self) -> Any:
        """isinstance() says that it is a native async generator."""
        return AsyncGeneratorType

    @__class__.setter
    def __class__(self, value: Any) -> None:
        raise TypeError("__class__ assignment only supported for mutable types or ModuleType subclasses")

    @__class__.deleter
    def __class__(self) -> None:
        raise TypeError("can't delete __class__ attribute")

    @property
    def __name__(self) -> str:
        return str(self._body.__name__)

    @__name__.setter
    def __name__(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError("__name__ must be set to a string object")
        self._body.__name__ = name

    @__name__.deleter
    def __name__(self) -> None:
        raise TypeError("__name__ must be set to a string object")

    def __getattr__(self, name: str) -> Any:
        if name == "__qualname__":  # which no property can be called
            return self._body.__qualname__
        raise AttributeError(f"'async_generator' object has no attribute '{name}'")

    @property
    def ag_frame(self) -> Any:
        """frame of the body, or None when it is finished"""
        return self._body.cr_frame

    @property
    def ag_code(self) -> Any:
        """code of the body"""
        return self._body.cr_code

    @property
    def ag_running(self) -> bool:
        """whether an operation is under way"""
        return not self._idle

    @property
    def ag_await(self) -> Any:
        """object being awaited on, or None; None at a yield, as of a native one"""
        return None if self._idle else self._body.cr_await

    @property
    def ag_state(self) -> str:
        """AGEN_CREATED, AGEN_RUNNING, AGEN_SUSPENDED or AGEN_CLOSED"""
        if self._state == CLOSED:
            return "AGEN_CLOSED"
        if self._executing or self._body.cr_running:
            return "AGEN_RUNNING"
        return "AGEN_CREATED" if self._state == CREATED else "AGEN_SUSPENDED"

    @property
    def ag_suspended(self) -> bool:
        """whether the body stands at a yield or an await"""
        return self.ag_state == "AGEN_SUSPENDED"

    # A coroutine's names, by which asyncio's call graph comes from a generator to what it delegates to.
    cr_frame = ag_frame
    cr_await = ag_await

    @property
    def _coroutine(self) -> Any:
        return self._body

    def __repr__(self) -> str:
        return f"<async_generator object {self.__qualname__} at {id(self):#x}>"

    def __reduce_ex__(self, protocol: Any, /) -> Any:
        raise TypeError("cannot pickle 'async_generator' object")

    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle 'async_generator' object")

    __class_getitem__: Any = classmethod(GenericAlias)

    # Life --------------------------------------------------------------------------------------------------------------

    def __del__(self) -> None:
        """Do what dropping the generator does (CPython's Objects/genobject.c, _PyGen_Finalize)."""
        if self._state == CLOSED:
            return
        if not self._ignored_exit:
            finalizer, self._finalizer = self._finalizer, None
            if finalizer is not None:
                finalizer(self)
                return
        if self._state == CREATED:
            self._body.close()  # a coroutine that never ran would warn that it was never awaited
            return
        try:
            close_at_once(self)
        except BaseException:
            abandon(self._body)
            raise


def new_generator(body: Any) -> Any:
    """A generator with this body."""
    made = object.__new__(async_generator)
    made._body = body
    made._send = body.send
    made._state = CREATED
    made._idle = [None]
    made._executing = made._hooked = made._ignored_exit = False
    made._finalizer = None
    return made
