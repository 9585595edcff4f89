"""PEP 525's operations: which is legal when, and what an awaitable makes of a body's answer.

The rules are those of ``include/agen/lifecycle.hpp``.
"""

import functools
import warnings
from typing import Any, NoReturn

from ._bodies import throw_at_yield
from ._boxes import OwnBox, box_type, unbox
from ._errors import (
    already_running,
    awaited_during_finalization,
    ended_through_frame,
    ends_by_exit,
    executing,
    ignored_exit,
    just_started,
    make_exception,
    reused,
    thrown,
    translated,
)

# The states of a generator. An operation is under way while its list `_idle` is empty: to take its one entry out is
# atomic, so of two threads one has begun an operation.
CREATED, SUSPENDED, CLOSED = range(3)
# How far an awaitable is.
INITIAL, STARTED, FINISHED = range(3)


class _Operation:
    """An awaitable that is its own iterator.

    Args:
        generator: the generator.
        name: "anext", "asend", "athrow" or "aclose".
        argument: what is sent; or the arguments of athrow().
    """

    __slots__ = ("_argument", "_it", "_name", "_progress")
    _reused = ""

    def __init__(self, generator: Any, name: str, argument: Any) -> None:
        self._it = generator
        self._name = name
        self._argument = argument
        self._progress = INITIAL

    def __await__(self) -> Any:
        return self

    __iter__ = __await__

    def send(self, value: Any, /) -> Any:
        raise NotImplementedError

    # The body's answers ------------------------------------------------------------------------------------------------

    def _drive(self, resume: Any, argument: Any) -> Any:
        """Resume the body once. Returns what it awaits; raises what the operation ends with."""
        generator = self._it
        generator._executing = True
        try:
            step = resume(argument)
        except StopIteration as stop:
            generator._executing = False
            result = stop.value
        except BaseException as error:
            generator._executing = False
            if self._failed(error):
                raise
            result = None
        else:
            generator._executing = False
            if type(step) is OwnBox:
                self._end_with_item(step.pop())
            if type(step) is not box_type:
                return step
            self._end_with_item(unbox(step))
        finally:
            del argument  # an error's traceback has this frame
        self._end_with_body()
        if self._name == "aclose":
            raise StopIteration
        if result is None:
            raise StopAsyncIteration
        raise StopAsyncIteration(result)

    def _failed(self, error: BaseException) -> bool:
        """The body has raised, and is handled where this is called. True if that goes on as it is; False if the operation
        ends without a value."""
        self._end_with_body()
        closed = self._name == "aclose" and ends_by_exit(error) and not isinstance(error, StopAsyncIteration)
        if closed or ended_through_frame(error):
            return False
        if (instead := translated(error)) is not None:
            raise instead from error
        return True

    def _end_with_item(self, item: Any) -> NoReturn:
        generator = self._it
        generator._state = SUSPENDED
        self._end()
        if self._name == "aclose":
            generator._ignored_exit = True
            del item
            raise ignored_exit(generator._body)
        raise StopIteration(item)

    def _end_with_body(self) -> None:
        self._it._state = CLOSED
        self._end()

    def _end(self) -> None:
        self._progress = FINISHED
        if not self._it._idle:
            self._it._idle.append(None)

    # Beginning and going on --------------------------------------------------------------------------------------------

    def _claim(self) -> None:
        """Begin an operation on the generator; refused while there is one."""
        try:
            self._it._idle.pop()
        except IndexError:
            self._progress = FINISHED
        else:
            self._progress = STARTED
            return
        raise already_running(self._name, self._it._body, self._it)

    def _resume(self, value: Any) -> Any:
        """Go on with an operation whose body awaits."""
        generator = self._it
        if self._progress == FINISHED:
            raise reused(self._reused)
        if generator._executing:
            raise executing()
        if generator._state == CLOSED:
            self._end()
            self._answer_closed()
        return self._drive(generator._body.send, value)

    def _answer_closed(self) -> NoReturn:
        """What an operation on a closed generator answers."""
        raise NotImplementedError

    def throw(self, /, *exception: Any) -> Any:
        try:
            error = thrown(exception)
        except BaseException:  # counts as an await all the same
            if self._progress == INITIAL:
                self._progress = FINISHED
            raise
        try:
            return self._throw(error)
        finally:
            del error

    def _throw(self, error: BaseException) -> Any:
        generator = self._it
        if self._progress == FINISHED:
            raise reused(self._reused)
        if self._progress == INITIAL and not generator._idle:
            self._progress = FINISHED
            raise already_running(self._name, generator._body, generator)
        if generator._state == CLOSED:
            if self._progress == STARTED:
                self._end()
            self._progress = FINISHED
            if self._name == "aclose" and ends_by_exit(error):
                raise StopIteration
            raise error
        if self._progress == INITIAL:
            self._claim()
            try:
                return self._throw_first(error)
            finally:
                del error
        if generator._executing:
            raise executing()
        try:
            return self._drive(generator._body.throw, error)
        finally:
            del error

    def _throw_first(self, error: BaseException) -> Any:
        """Throw at the beginning of an operation that has been claimed."""
        generator = self._it
        if generator._state == CREATED and isinstance(error, StopIteration):
            made = RuntimeError("async generator raised StopIteration")
            made.__context__ = made.__cause__ = error
            error = made
        try:
            return self._drive(functools.partial(throw_at_yield, generator._body), error)
        finally:
            del error

    def close(self) -> None:
        if self._progress == FINISHED:
            return
        try:
            self._throw(GeneratorExit())
        except (GeneratorExit, StopAsyncIteration, StopIteration):
            return
        raise RuntimeError("coroutine ignored GeneratorExit")

    # Life --------------------------------------------------------------------------------------------------------------

    def __del__(self) -> None:
        try:
            if self._progress == FINISHED:
                return
        except AttributeError:  # it could not be made
            return
        generator = self._it
        if self._progress == INITIAL:
            self._argument = None
            self._progress = FINISHED  # the warning may let a user have it: it is used up
            method = "asend" if self._name == "anext" else self._name
            text = f"coroutine method '{method}' of '{generator.__qualname__}' was never awaited"
            warnings.warn(text, RuntimeWarning, stacklevel=2, source=generator)
        elif not generator._executing:
            try:
                self.close()  # dropped in the middle of an await: the body is told
            finally:
                self._end()

    def __reduce_ex__(self, protocol: Any, /) -> Any:
        raise TypeError(f"cannot pickle '{type(self).__name__}' object")

    # Attributes --------------------------------------------------------------------------------------------------------

    @property
    def ag_gen(self) -> Any:
        """The generator that this operation belongs to."""
        return self._it

    @property
    def __name__(self) -> str:
        return str(self._it.__name__)

    def __getattr__(self, name: str) -> Any:
        if name == "__qualname__":  # which no property can be called
            return self._it.__qualname__
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    @property
    def cr_frame(self) -> Any:
        """The generator's frame."""
        return self._it.ag_frame

    @property
    def cr_code(self) -> Any:
        """The generator's code."""
        return self._it.ag_code

    @property
    def cr_await(self) -> Any:
        """What the generator awaits."""
        return self._it.ag_await

    @property
    def cr_running(self) -> bool:
        """Whether the generator runs."""
        return bool(self._it.ag_running)


class async_generator_asend(_Operation):
    """The awaitable of anext and asend."""

    __slots__ = ()
    _reused = "__anext__()/asend()"

    # The path of an item, in one function: a call costs as much as all else here.
    def send(self, value: Any = None, /) -> Any:
        if self._progress != INITIAL:
            return self._resume(value)
        generator = self._it
        if value is None:
            value = self._argument
        try:
            generator._idle.pop()
        except IndexError:
            value = None
        else:
            self._progress = STARTED
        if self._progress == INITIAL:
            self._progress = FINISHED
            raise already_running(self._name, generator._body, generator)
        if generator._state != SUSPENDED:
            if generator._state != CREATED or value is not None:
                self._refuse()
            generator._state = SUSPENDED
        generator._executing = True
        try:
            step = generator._send(value)
        except StopIteration as stop:
            generator._executing = False
            result = stop.value
        except BaseException as error:
            generator._executing = False
            if self._failed(error):
                raise
            result = None
        else:
            generator._executing = False
            if type(step) is OwnBox:
                step = step.pop()
            elif type(step) is box_type:
                step = unbox(step)
            else:
                return step
            self._progress = FINISHED
            generator._idle.append(None)
            raise StopIteration(step)
        generator._state = CLOSED
        self._progress = FINISHED
        generator._idle.append(None)
        if result is None:
            raise StopAsyncIteration
        raise StopAsyncIteration(result)

    __next__ = send

    def _refuse(self) -> NoReturn:
        """The body has ended; or has not begun, and a value is sent."""
        self._end()
        if self._it._state == CLOSED:
            self._answer_closed()
        raise just_started()

    def _answer_closed(self) -> NoReturn:
        raise StopAsyncIteration


class async_generator_athrow(_Operation):
    """The awaitable of athrow and aclose."""

    __slots__ = ()
    _reused = "aclose()/athrow()"

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any, /) -> Any:
        if self._progress != INITIAL:
            return self._resume(value)
        generator = self._it
        if not generator._idle:
            self._progress = FINISHED
            raise already_running(self._name, generator._body, generator)
        if generator._state == CLOSED or generator._ignored_exit:
            self._progress = FINISHED
            if generator._state == CLOSED:
                self._answer_closed()
            raise StopAsyncIteration
        if value is not None:
            raise RuntimeError("can't send non-None value to a just-started coroutine")
        try:
            error = GeneratorExit() if self._name == "aclose" else make_exception(*self._argument)
        except BaseException:
            self._progress = FINISHED
            raise
        if self._progress != INITIAL:  # the exception's constructor has awaited it
            raise reused(self._reused)
        try:
            self._claim()
            return self._throw_first(error)
        finally:
            del error

    def _answer_closed(self) -> NoReturn:
        raise StopIteration


def close_at_once(generator: Any) -> None:
    """Close a generator that nobody can await any more: in one step, which must not await."""
    if generator._executing:  # __del__() was called from the body
        raise executing()
    at_yield = bool(generator._idle)
    generator._idle.clear()
    generator._executing = True
    body = generator._body
    step: Any = None
    try:
        step = throw_at_yield(body, GeneratorExit()) if at_yield else body.throw(GeneratorExit())
    except StopIteration:
        generator._state = CLOSED
        return
    except BaseException as error:
        generator._state = CLOSED
        if isinstance(error, StopAsyncIteration) or not ends_by_exit(error) and not ended_through_frame(error):
            if (instead := translated(error)) is not None:
                raise instead from error
            raise
        return
    finally:
        generator._executing = False
        generator._idle[:] = [None]
    if type(step) is not box_type and type(step) is not OwnBox:
        raise awaited_during_finalization(generator.__name__)
    generator._ignored_exit = True
    raise ignored_exit(body)


#: The globals of all frames that resume bodies.
DRIVERS = globals()
