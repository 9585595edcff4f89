"""All messages, and what becomes of an exception that leaves a body. The texts are those of ``python/engine/errors.cpp``."""

import sys
import warnings
from typing import Any


class AlreadyRunning(RuntimeError, ValueError):
    """An operation was awaited while another one on the same generator is under way. It is the RuntimeError of native async
    generators and the ValueError of async_generator 1.10."""


AlreadyRunning.__module__ = "async_generator"
AlreadyRunning.__qualname__ = "AlreadyRunning"


_running_task: Any = None


def set_running_task(function: Any, /) -> None:
    """Called once by the package, with what finds the name of the task that runs a generator."""
    global _running_task
    _running_task = function


def already_running(operation: str, body: Any = None, generator: Any = None) -> AlreadyRunning:
    """The error for an operation while another one is under way."""
    name = "anext" if operation == "asend" else operation
    error = AlreadyRunning(f"{name}(): asynchronous generator is already running")
    if body is not None:
        note_place(error, body, "its body is at")
    if generator is not None and hasattr(error, "add_note") and (task := _running_task(generator)) is not None:
        error.add_note(f"the task that runs it is {task!r}")
    return error


def ignored_exit(body: Any = None) -> RuntimeError:
    """The error for a body that yields while it is closed."""
    error = RuntimeError("async generator ignored GeneratorExit")
    if body is not None:
        note_place(error, body, "while it was closed, its body yielded at")
    return error


def note_place(error: Any, body: Any, text: str) -> None:
    """Add a note to an error: where a body is. Nothing where it has no frame, or errors have no notes (3.10)."""
    frame = body.cr_frame
    if frame is not None and hasattr(error, "add_note"):
        code = frame.f_code
        error.add_note(f"{text} {code.co_filename}, line {frame.f_lineno}, in {code.co_name}")


def reused(what: str) -> RuntimeError:
    """The error for an awaitable that is awaited again."""
    return RuntimeError(f"cannot reuse already awaited {what}")


def just_started() -> TypeError:
    """The error for a value that is sent before the body has begun."""
    return TypeError("can't send non-None value to a just-started async generator")


def executing(what: str = "async generator") -> ValueError:
    """The error for a body that is resumed while it executes."""
    return ValueError(f"{what} already executing")


def awaited_during_finalization(name: str) -> RuntimeError:
    """The error for a body that awaits while it is dropped without a finalizer hook."""
    return RuntimeError(
        f"async_generator '{name}' awaited during finalization; install a finalization hook to support this, or wrap it "
        "in 'async with aclosing(...):'"
    )


def outside_generator(name: str) -> RuntimeError:
    """The error for an operator that is awaited outside an async generator."""
    return RuntimeError(
        f"{name}() was awaited outside an async generator: await it in the body of an async generator, or in a coroutine "
        "that the body awaits; a function that uses it needs @async_generator"
    )


# What leaves a body ----------------------------------------------------------------------------------------------------

_OURS = __name__.rpartition(".")[0]


def has_bare_traceback(error: BaseException) -> bool:
    """Whether an exception was raised by the interpreter itself, and not in any frame but those of this package."""
    place = error.__traceback__
    while place is not None and str(place.tb_frame.f_globals.get("__name__")).startswith(_OURS):
        place = place.tb_next
    return place is None


def ended_through_frame(error: BaseException) -> bool:
    """Whether an exception says no more than that a body has ended, through its frame or its coroutine."""
    return (
        isinstance(error, RuntimeError)
        and str(error) in ("cannot reuse already awaited coroutine", "cannot reuse already awaited async generator")
        and has_bare_traceback(error)
    )


def translated(error: BaseException) -> RuntimeError | None:
    """What takes the place of an exception that has left a body, to be raised from it; None where it goes on as it is.
    PEP 479 makes errors of those that end iterations."""
    if isinstance(error, StopAsyncIteration):
        return RuntimeError("async generator raised StopAsyncIteration")
    if isinstance(error, StopIteration):
        return RuntimeError("async generator raised StopIteration")
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, StopIteration):
        # The coroutine's own translation.
        if error.args == ("coroutine raised StopIteration",) and has_bare_traceback(error):
            error.args = ("async generator raised StopIteration",)
    return None


def ends_by_exit(error: BaseException) -> bool:
    """Whether an exception that came out of a body that is closed says no more than that it has ended."""
    if isinstance(error, (GeneratorExit, StopAsyncIteration)):
        return True
    if sys.version_info >= (3, 11) and isinstance(error, BaseExceptionGroup):  # noqa: F821
        try:
            return error.split(GeneratorExit)[1] is None
        except Exception:  # of a subclass that does not split
            return False
    return False


def make_exception(kind: Any, value: Any = None, traceback: Any = None) -> BaseException:
    """The exception for the arguments of throw() or athrow() (CPython's Objects/genobject.c, _gen_throw).

    An error in a class's constructor is what is then thrown.
    """
    if traceback is not None and not hasattr(traceback, "tb_frame"):
        raise TypeError("throw() third argument must be a traceback object")
    if isinstance(kind, type) and issubclass(kind, BaseException):
        made = _instantiate(kind, value)
    elif not isinstance(kind, BaseException):
        raise TypeError(
            f"exceptions must be classes or instances deriving from BaseException, not {type(kind).__name__}"
        )
    elif value is not None:
        raise TypeError("instance exception may not have a separate value")
    else:
        made = kind
    if traceback is not None:
        made.__traceback__ = traceback
    return made


def thrown(arguments: tuple[Any, ...]) -> BaseException:
    """The exception for the arguments of throw()."""
    if not 1 <= len(arguments) <= 3:
        bound = "at most 3 arguments" if arguments else "at least 1 argument"
        raise TypeError(f"throw expected {bound}, got {len(arguments)}")
    if len(arguments) > 1:
        warn_three_arguments("throw", 4)
    return make_exception(*arguments)


def warn_three_arguments(name: str, level: int) -> None:
    """Warn of throw(type, value, traceback), as CPython does from 3.12 on."""
    if sys.version_info >= (3, 12):
        text = f"the (type, exc, tb) signature of {name}() is deprecated, use the single-arg signature instead."
        warnings.warn(text, DeprecationWarning, stacklevel=level)


def _instantiate(kind: type[BaseException], value: Any) -> BaseException:
    if isinstance(value, kind):
        return value
    try:
        made = kind() if value is None else kind(*value) if isinstance(value, tuple) else kind(value)
    except BaseException as error:
        return error
    if isinstance(made, BaseException):
        return made
    return TypeError(f"calling {kind!r} should have returned an instance of BaseException, not {type(made)!r}")
