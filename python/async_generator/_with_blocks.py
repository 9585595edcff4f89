"""Find out which ``with`` blocks an instruction stands in, and which context managers a suspended frame has entered.

Both depend on how a version of CPython compiles ``with``. The blocks are read from the code: from the exception table, or
on 3.10 from the instructions that push and pop blocks. The managers are found where the interpreter keeps what leaves
them: their ``__exit__`` or ``__aexit__`` on the frame's stack, which the garbage collector shows.

On the first use, a sample is run. If it does not find what it should, or the version of Python is unknown, nothing is
found at all.
"""

import dis
import gc
import weakref
from types import (
    BuiltinFunctionType,
    CodeType,
    FrameType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    WrapperDescriptorType,
)
from typing import Any, NamedTuple

from ._bytecode import KNOWN, VERSION, Code

_OLD = VERSION == (3, 10)  # blocks are pushed and popped by instructions
# From 3.14 on, an exit function and the manager that it belongs to lie on the stack side by side, not as a bound method.
_PAIRS = VERSION >= (3, 14)
_BOUND = (BuiltinFunctionType, MethodWrapperType)
_UNBOUND = (FunctionType, MethodDescriptorType, WrapperDescriptorType)
_EXITS = ("__exit__", "__aexit__")
_WITH_EXCEPT_START = dis.opmap.get("WITH_EXCEPT_START", -1)
_YIELD_VALUE = dis.opmap["YIELD_VALUE"]
_RESUME = dis.opmap.get("RESUME", -1)
_AFTER_YIELD = 1  # the argument of RESUME, in its two lowest bits


class Block(NamedTuple):
    """A ``with`` block that an instruction stands in."""

    line: int
    """The line of its context manager; 0 if that is not known."""
    exit_name: str
    """``__exit__`` or ``__aexit__``."""


class Entered(NamedTuple):
    """A context manager that a suspended frame has entered."""

    manager: Any
    line: int
    """The line of the ``with``, or 0."""


# Blocks ----------------------------------------------------------------------------------------------------------------


def _blocks_of(code: Code, index: int) -> tuple[Block, ...]:
    """The blocks that an instruction stands in, the outermost first."""
    if _OLD:
        return tuple(_block(code, handler) for handler in _open_blocks(code).get(index, ()) if handler >= 0)
    found: list[Block] = []
    seen: set[int] = set()
    handler = code.handler(index)[0]
    while handler is not None and handler.target not in seen:
        seen.add(handler.target)
        if code.opcodes[code.after(handler.target)] == _WITH_EXCEPT_START:
            found.append(_block(code, code.after(handler.target)))
        # An instruction in an `except` or `finally` is covered by its cleanup, and that by what is around the `try`.
        handler = code.handler(handler.target)[0]
    return tuple(reversed(found))


def _block(code: Code, start: int) -> Block:
    """The block whose exceptions go to the WITH_EXCEPT_START at ``start``."""
    is_async = code.opcodes[code.after(start)] == dis.opmap["GET_AWAITABLE"]
    return Block(code.line(start) or 0, _EXITS[is_async])


def _open_blocks(code: Code) -> dict[int, tuple[int, ...]]:
    """For each instruction of 3.10's code, the handlers of its ``with`` blocks, the outermost first; -1 for other blocks."""
    found: dict[int, tuple[int, ...]] = {}
    paths: list[tuple[int, tuple[int, ...]]] = [(code.instruction(0), ())]
    while paths:
        index, open_ = paths.pop()
        while index < len(code.opcodes) and index not in found:
            found[index] = open_
            name = dis.opname[code.opcodes[index]]
            if name in ("SETUP_WITH", "SETUP_ASYNC_WITH", "SETUP_FINALLY"):
                handler = code.target(index)
                paths.append((handler, (*open_, -1)))  # where it is popped by POP_EXCEPT
                open_ = (*open_, -1 if name == "SETUP_FINALLY" else handler)
            elif name in ("POP_BLOCK", "POP_EXCEPT"):
                open_ = open_[:-1]
            elif code.opcodes[index] in dis.hasjrel or code.opcodes[index] in dis.hasjabs:
                paths.append((code.target(index), open_))
            if name in ("RETURN_VALUE", "RAISE_VARARGS", "RERAISE", "JUMP_FORWARD", "JUMP_ABSOLUTE"):
                break
            index = code.after(index)
    return found


def yields_in_with(code: CodeType) -> bool:
    """Tell whether the code yields an item inside a ``with`` block. Awaits do not count.

    Args:
        code: the code of a coroutine or an async generator.

    Returns:
        True if it does. False for code that cannot be read.
    """
    if _WITH_EXCEPT_START not in code.co_code[::2] or not KNOWN:
        return False
    read = Code(code)
    return any(_is_yield(read, index) and _blocks_of(read, index) for index in _places(read))


def _places(code: Code) -> list[int]:
    return [index for index, opcode in enumerate(code.opcodes) if opcode == _YIELD_VALUE]


def _is_yield(code: Code, index: int) -> bool:
    """Whether a YIELD_VALUE hands out an item. From 3.11 on, awaits have one, too."""
    if _OLD:
        return True
    after = code.after(index)
    return code.opcodes[after] == _RESUME and code.arguments[after] & 3 == _AFTER_YIELD


_known: dict[int, tuple["weakref.ref[CodeType]", Code, dict[int, tuple[Block, ...]]]] = {}


def _blocks_at(code: CodeType, offset: int) -> tuple[Block, ...]:
    """``_blocks_of()`` for the instruction at an offset in bytes, remembered while the code lives."""
    known = _known.get(id(code))  # not by the code itself, whose hash goes through all its constants
    if known is None or known[0]() is not code:
        key = id(code)
        # At the end of the process, code may outlive the names of this module.
        forget = lambda _, all_known=_known: all_known.pop(key, None)  # noqa: E731
        known = _known[key] = weakref.ref(code, forget), Code(code), {}
    _, read, blocks = known
    if offset not in blocks:
        blocks[offset] = _blocks_of(read, offset // 2) if offset >= 0 else ()
    return blocks[offset]


# Managers --------------------------------------------------------------------------------------------------------------


def entered_managers(suspended: Any, frame: FrameType) -> list[Entered]:
    """Find the context managers that a suspended body has entered by ``with`` and not left.

    Args:
        suspended: a suspended coroutine, generator or async generator, native or of this package.
        frame: its frame.

    Returns:
        The managers, the outermost first. Those of which it cannot be told are left out.
    """
    blocks = _blocks_at(frame.f_code, frame.f_lasti)
    return _match(blocks, _exits(suspended, frame)) if blocks and works() else []


def _exits(suspended: Any, frame: FrameType) -> list[tuple[str, Any]]:
    """The exit functions among what a frame refers to, by name, with their managers. Those on the stack come last."""
    referents = gc.get_referents(frame if _OLD else suspended)
    found = []
    for place, one in enumerate(referents):
        kind = type(one)
        # Only exact types are looked at: another object might run code of its own when an attribute is read.
        if kind is MethodType and type(one.__func__) is FunctionType:
            name, manager = one.__func__.__name__, one.__self__
        elif kind in _BOUND:
            name, manager = one.__name__, one.__self__
        elif _PAIRS and kind in _UNBOUND and place + 1 < len(referents):
            name, manager = one.__name__, referents[place + 1]
        else:
            continue
        if name in _EXITS:
            found.append((name, manager))
    return found


def _match(blocks: tuple[Block, ...], exits: list[tuple[str, Any]]) -> list[Entered]:
    """Bring blocks and exit functions together. The innermost block has the last function of its kind."""
    found = []
    for block in reversed(blocks):
        while exits:
            name, manager = exits.pop()
            if name == block.exit_name:
                found.append(Entered(manager, block.line))
                break
    return found[::-1]


# The sample ------------------------------------------------------------------------------------------------------------


class _Manager:
    def __enter__(self) -> Any: ...

    def __exit__(self, *error: Any) -> None: ...

    async def __aenter__(self) -> Any: ...

    async def __aexit__(self, *error: Any) -> None: ...


async def _sample(one: Any, two: Any, three: Any, lock: Any, leave: Any) -> Any:
    async with one:
        pass
    yield ()
    async with one as entered:
        with two, lock:
            yield (one, two, lock)
            try:
                raise KeyError
            except KeyError:
                yield [one, two, lock, (yield (one, two, lock))][:3]
        del entered
        for _ in (1,):
            async with three:
                yield (one, three)
                break
        yield (one,)
    yield ()


def _run_sample() -> bool:
    import _thread

    managers = _Manager(), _Manager(), _Manager()
    sample: Any = _sample(*managers, _thread.allocate_lock(), managers[1].__exit__)
    line = _sample.__code__.co_firstlineno
    expected = {0: [], 1: [4, 5, 5], 2: [4, 5, 5], 3: [4, 5, 5], 4: [4, 13], 5: [4], 6: []}
    wanted: list[Any] = []
    for count in range(len(expected)):
        try:
            sample.asend(None).send(None)
        except StopIteration as stop:
            wanted = list(stop.value)
        frame = sample.ag_frame
        found = _match(_blocks_at(frame.f_code, frame.f_lasti), _exits(sample, frame))
        managers_found = [one.manager for one in found]
        same = len(wanted) == len(managers_found) and all(map(_is, wanted, managers_found))
        if not same or [one.line - line for one in found] != expected[count]:
            return False
    return True


def _is(one: Any, other: Any) -> bool:
    return one is other


_works: bool | None = None


def works() -> bool:
    """Run the sample, once. Returns whether managers are found on this interpreter."""
    global _works
    if _works is None:
        import sys

        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)  # the program's event loop must not see the sample
        try:
            _works = KNOWN and yields_in_with(_sample.__code__) and _run_sample()
        except MemoryError:
            raise
        except Exception:  # an unknown layout can fail in any way
            _works = False
        finally:
            sys.set_asyncgen_hooks(*hooks)
    return _works
