"""Wrapped items: how an item leaves a body, through the coroutines that the body awaits.

Wherever it can be had, the wrapper is the interpreter's own, which native async generators hand up, too. So ``yield_()``
also works in a native one, and a ``yield`` in the code of a body that runs as a coroutine. It has no public name and no
constructor, but the code of a native async generator function makes one, if it runs as that of a coroutine; and a native
async generator that awaits one takes it apart.
"""

import inspect
import sys
import types
from collections.abc import Generator
from sys import get_asyncgen_hooks, set_asyncgen_hooks
from types import CodeType, FunctionType
from typing import Any


class OwnBox(list[Any]):
    """A wrapper of our own, which only our driver knows: a list of one item, which the driver takes out.

    It is used where no native async generator is between the operator and the driver, since it costs less; and everywhere
    if the interpreter's own cannot be had.
    """

    __slots__ = ()


# Both of the following keep no item: what they hold is in a list, from which they take it before they hand it out.


async def _wrapping() -> Any:
    held: list[Any] = [None]
    while True:
        held.append((yield held.pop()))


@types.coroutine
def _handing_up(held: list[Any]) -> Generator[Any, Any, None]:
    while True:
        yield held.pop()


async def _unwrapping(held: list[Any]) -> Any:
    await _handing_up(held)
    yield


def coroutine_code(code: CodeType) -> CodeType | None:
    """The code of an async generator function, made that of a coroutine function whose yields wrap their items.

    None if this interpreter cannot do that: then its frames stay those of native async generators.
    """
    return None if _FLAGS is None else code.replace(co_flags=code.co_flags & ~_KINDS | _FLAGS)


_KINDS = inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def _find_flags() -> int | None:
    """The flags of such code. An instruction wraps the item, or (CPython 3.10, PyPy) a yield does, by a flag."""
    if sys.version_info[:2] == (3, 11) and hasattr(sys, "gettotalrefcount"):
        return None  # a debug build ends the process there (CPython's Python/ceval.c, ASYNC_GEN_WRAP)
    for flags in (inspect.CO_COROUTINE, inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        try:
            coroutine = _made(flags)
            coroutine.send(None)
            if type(coroutine.send(1)) is not int:
                return flags
        except (AttributeError, TypeError, ValueError, SystemError):
            continue
    return None


def _made(flags: int) -> Any:
    code = _wrapping.__code__
    return FunctionType(code.replace(co_flags=code.co_flags & ~_KINDS | flags), {})()


_FLAGS = _find_flags()
#: Whether the wrapper is the interpreter's own, and frames of native async generators run as those of coroutines.
INTERPRETERS_OWN = _FLAGS is not None

# Those that no thread uses at the moment. Taking one out is atomic.
_wrappers: list[Any] = []
_unwrappers: list[tuple[Any, list[Any]]] = []


def _box(item: Any) -> Any:
    """A wrapped item."""
    try:
        wrapper = _wrappers.pop()
    except IndexError:
        assert _FLAGS is not None
        wrapper = _made(_FLAGS)
        wrapper.send(None)
    wrapped = wrapper.send(item)
    _wrappers.append(wrapper)  # not one that an interrupt has ended
    return wrapped


def _unbox(boxed: Any) -> Any:
    """The item of a wrapped item."""
    try:
        unwrapper = _unwrappers.pop()
    except IndexError:
        unwrapper = _new_unwrapper()
    unwrapper[1].append(boxed)
    try:
        unwrapper[0].asend(None).send(None)
    except StopIteration as stop:
        _unwrappers.append(unwrapper)
        return stop.value
    raise TypeError(f"unbox() takes what box() made, not {type(boxed).__name__}")


def _new_unwrapper() -> tuple[Any, list[Any]]:
    held: list[Any] = [_box(None)]
    generator = _unwrapping(held)
    hooks = get_asyncgen_hooks()
    set_asyncgen_hooks(None, None)  # no event loop shall close it
    try:
        generator.asend(None).send(None)
    except StopIteration:
        pass
    finally:
        set_asyncgen_hooks(*hooks)
    return generator, held


def _own_unbox(boxed: Any) -> Any:
    if type(boxed) is not OwnBox:
        raise TypeError(f"unbox() takes what box() made, not {type(boxed).__name__}")
    return boxed[0]


def _own_box(item: Any) -> OwnBox:
    return OwnBox((item,))


box: Any = _box if INTERPRETERS_OWN else _own_box
unbox: Any = _unbox if INTERPRETERS_OWN else _own_unbox
box_type: Any = type(box(None))
if INTERPRETERS_OWN:
    _unwrappers.append(_new_unwrapper())  # while no tool looks


def set_up(boxer: Any) -> None:
    """Accepts what the engine learns the interpreter's wrapper from. Here it is known already."""
