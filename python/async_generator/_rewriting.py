"""Replace ``await yield_()`` by real yields. This module changes bytecode; ``_bytecode`` reads it.

``await yield_(x)`` compiles to a load of ``yield_``, the argument, a call, and a loop that sends into the result of the
call. In a copy of the code, of the same length, these instructions become those of ``yield x`` in a native async
generator: the argument, an instruction that wraps it, and one YIELD_VALUE. Two other forms keep a call:

* For ``yield_from_(x)``, and if the argument has exception handlers of its own, the call stays. Only the loop becomes a
  YIELD_VALUE, which hands the result of the call to the engine.
* ``yield_from_(f(x))``, the usual delegation, keeps one call of two: that of a builtin function of the engine, which
  calls ``f``.

On 3.10, YIELD_VALUE itself wraps the item, by a flag of the code. There only simple calls of ``yield_`` and the usual
delegation are replaced. Line numbers, jumps and exception tables stay valid.

An await is replaced only if three statements are proved (``_bytecode.Code.call_of``): the awaited object is the result
of the call, the call is of the object that the name means, and no jump leads into the overwritten instructions.
Otherwise this await stays as it is; other awaits of the same function may still be replaced.

The names must be globals that mean ``yield_`` and ``yield_from_`` when the copy is made. A name that the function itself
binds is left alone. Whenever the engine makes a generator, it checks that the names still mean the operators. If they do
not, it uses the original code.

On the first use, a sample is rewritten and run. If it does not answer as the original does, or the version of Python is
unknown, nothing is rewritten. The results are the same without rewriting.
"""

import dis
import functools
import inspect
import re
import sys
from types import CellType, CodeType, FunctionType
from typing import Any, NamedTuple

from . import _implementation as _engine
from ._bytecode import CALLABLE_SLOTS, KNOWN, LOAD_GLOBAL, SIZES, VERSION, Call, Code
from ._operators import yield_, yield_from_

# Code of more units than this keeps the size of its stack: counting takes longer than two slots of a frame are worth.
_COUNTED = 4096


def _find_wrap() -> list[tuple[str, int]]:
    """The instruction that wraps the item of a native async generator; none on 3.10, where YIELD_VALUE wraps it."""

    async def native() -> Any:
        yield

    instructions = list(dis.get_instructions(native))
    for before, after in zip(instructions, instructions[1:], strict=False):
        if after.opname == "YIELD_VALUE" and before.opname in ("ASYNC_GEN_WRAP", "CALL_INTRINSIC_1"):
            return [(before.opname, before.arg or 0)]
    return []


async def _none() -> Any:
    await yield_()


# A debug build of 3.11 wraps items only in code with the flag of an async generator function, and aborts in other code
# (CPython's Python/ceval.c, ASYNC_GEN_WRAP). There real yields hand out items without wrapping them.
_DIES_OF_WRAPPING = VERSION == (3, 11) and hasattr(sys, "gettotalrefcount")
_NATIVE_WRAP = _find_wrap()
_WRAP = [] if _DIES_OF_WRAPPING else _NATIVE_WRAP
#: The traits, for the engine, of generators whose code has real yields.
YIELDS = _engine.RAW_YIELDS if _DIES_OF_WRAPPING else 0
# The instruction by which an await loads the None that it sends first.
_AWAIT_NONE = next(i for i in dis.get_instructions(_none) if i.opname.startswith("LOAD_") and i.argval is None)


class _Shape(NamedTuple):
    """The instructions of an await up to the end of its loop, as the compiler of this version makes them."""

    opcodes: bytes
    """The opcodes, by unit."""
    entered: bytes
    """For each unit, the number of jumps to it. Only the end of the loop, if there is a loop, jumps: to SEND."""
    none: int
    """The unit of the instruction that loads None."""
    send: int
    """The unit of SEND; of YIELD_FROM on 3.10."""


def _find_shape() -> _Shape:
    names = ["GET_AWAITABLE", *(["PUSH_NULL"] if VERSION >= (3, 15) else []), _AWAIT_NONE.opname]
    names += ["YIELD_FROM"] if VERSION == (3, 10) else ["SEND", "YIELD_VALUE", "RESUME", "JUMP_BACKWARD_NO_INTERRUPT"]
    opcodes = b"".join(bytes([dis.opmap[name]]).ljust(SIZES[dis.opmap[name]], b"\0") for name in names)
    none = names.index(_AWAIT_NONE.opname)
    entered = bytes(len(opcodes)) if VERSION == (3, 10) else bytes(none + 1) + b"\1" + bytes(len(opcodes) - none - 2)
    return _Shape(opcodes, entered, none, none + 1)


_SHAPE = _find_shape() if KNOWN else _Shape(b"", b"", 0, 0)


class _Await(NamedTuple):
    """The positions where an await begins and where it loads None, and the position after it."""

    start: int
    none: int
    end: int


#: The reason why nothing is rewritten, or None if rewriting is on. The answer is known after the sample has run.
disabled: str | None = "not used yet"
_tested = False


def rewrite(code: CodeType, namespace: dict[str, Any]) -> tuple[CodeType, tuple[Any, ...], int]:
    """Replace the calls of ``yield_`` and ``yield_from_`` in a coroutine function's code by real yields.

    Args:
        code: the code; it is not changed.
        namespace: the globals of the function.

    Returns:
        A copy of the code; the globals that it relies on, ``(namespace, name, object, name, object, ...)``; and the
        traits of its generators. If there is nothing to rewrite, the code itself, an empty tuple and 0.
    """
    global _tested
    if not _tested:
        _run_sample()
        _tested = True  # not if an interrupt was raised: rewriting would stay off for ever
    return (code, (), 0) if disabled else _rewrite(code, namespace)


def _rewrite(original: CodeType, namespace: dict[str, Any]) -> tuple[CodeType, tuple[Any, ...], int]:
    operators = {name: namespace.get(name) for name in original.co_names}
    operators = {name: value for name, value in operators.items() if value is yield_ or value is yield_from_}
    if not operators:
        return original, (), 0
    code = Code(original)
    for name in _rebound(code) & operators.keys():  # the function itself binds it, and then calls what it has bound
        del operators[name]
    copy = _Copy(code)
    used = {}
    for load in _loads(code):
        name = original.co_names[code.argument(load) >> (CALLABLE_SLOTS - 1)]
        if name in operators and copy.replace(load, operators[name]):
            used[name] = operators[name]
    if not used:
        return original, (), 0
    return yielding(copy.made()), (namespace, *(part for pair in used.items() for part in pair)), copy.traits


class _Copy:
    """A copy of a function's code in which awaits become real yields.

    Args:
        code: the original.
    """

    def __init__(self, code: Code) -> None:
        self._code = code
        self._changed = bytearray(code.code.co_code)
        self._constants = code.code.co_consts
        self._in_handlers = _first_handler(code)
        #: The traits, for the engine, of the generators that run the copy.
        self.traits = YIELDS

    def replace(self, load: int, operator: Any) -> bool:
        """Replace the await of a call of an operator.

        Args:
            load: the instruction that loads the operator.
            operator: ``yield_`` or ``yield_from_``.

        Returns:
            False if the await stays as it is.
        """
        code, changed = self._code, self._changed
        call = code.call_of(load)
        await_ = _find_await(code, call.end) if call else None
        if call is None or await_ is None:
            return False
        simple = call.simple and not call.keywords and _same_handler(code, call.first, await_.start)
        if operator is yield_:
            if simple and _replace_call(code, load, call, await_, changed):
                return True
        # In an exception handler, an exception that a delegate raises must arrive without a new context. throw() would set
        # the handled exception as its context, so yield_from_() is awaited there.
        elif load > self._in_handlers:
            return False
        elif simple and _join_calls(code, load, call, await_, len(code.code.co_consts), changed):
            self._constants = (*code.code.co_consts, _engine.yield_from_call)
            return True
        if VERSION == (3, 10):
            return False
        _write(changed, await_.start, await_.end, _YIELD)
        self.traits |= _engine.KEPT_CALLS
        return True

    def made(self) -> CodeType:
        """The copy."""
        code, original = self._code, self._code.code
        made = original.replace(co_code=bytes(self._changed), co_consts=self._constants)
        # Without the call, the frame needs fewer stack slots, which are memory of each generator. If the count differs from
        # the compiler's for the original, it cannot be relied on.
        if len(code.opcodes) <= _COUNTED and original.co_stacksize == max(code.stack_size(), 1):
            made = made.replace(co_stacksize=max(Code(made).stack_size(), 1))
        return made


# A function's cells --------------------------------------------------------------------------------------


def with_free_variable(code: CodeType, name: str) -> CodeType | None:
    """Add a free variable to code, which the code does not use.

    Code with free variables begins with an instruction that copies as many of them as its argument says. If the argument
    is wrong, the code reads wrong variables. So a sample is run first.

    Args:
        code: the code; it is not changed.
        name: the name of the free variable, which becomes the last one.

    Returns:
        A copy of the code; None if the code has too many free variables, or the sample has failed.
    """
    return _with_free_variable(code, name) if _counts_free_variables() else None


def _with_free_variable(code: CodeType, name: str) -> CodeType | None:
    free = code.co_freevars
    instructions = bytearray(code.co_code)
    if VERSION >= (3, 11) and len(free) >= 255:
        return None
    if free and VERSION >= (3, 11) and instructions[0] == dis.opmap["COPY_FREE_VARS"]:
        instructions[1] = len(free) + 1
    return code.replace(co_code=bytes(instructions), co_freevars=(*free, name))


@functools.cache
def _counts_free_variables() -> bool:
    """Run a sample of with_free_variable(). True if it reads the right variables."""

    def sample(first: Any, second: Any) -> Any:
        return lambda: (first, second)

    function = sample(1, 2)
    try:
        code = _with_free_variable(function.__code__, "third")
        copy = FunctionType(code, {}, "sample", None, (*function.__closure__, CellType(3))) if code else None
        return copy is not None and copy() == (1, 2)
    except (ValueError, TypeError, SystemError):
        return False


def yielding(code: CodeType) -> CodeType:
    """A copy of the code of a coroutine, whose real yields wrap their items, unless ``YIELDS`` has the trait RAW_YIELDS."""
    if VERSION == (3, 10):
        return code.replace(co_flags=code.co_flags | inspect.CO_ASYNC_GENERATOR)
    if not _DIES_OF_WRAPPING:
        return code
    changed = bytearray(code.co_code)
    for instruction in dis.get_instructions(code):
        if instruction.opname == "ASYNC_GEN_WRAP":
            changed[instruction.offset] = dis.opmap["NOP"]
    return code.replace(co_code=bytes(changed))


def yields_items(code: CodeType) -> bool:
    """Whether ``code`` yields items, as the code of a native async generator does. Awaits also compile to YIELD_VALUE."""
    sign = _NATIVE_WRAP[0] if _NATIVE_WRAP else ("YIELD_VALUE", 0)
    return any((one.opname, one.arg or 0) == sign for one in dis.get_instructions(code))


def _loads(code: Code) -> list[int]:
    """The instructions that load globals."""
    return [found.start() for found in _FIND_LOADS.finditer(code.opcodes)]


def _rebound(code: Code) -> set[str]:
    """The names of the globals that the code sets or deletes."""
    return {code.code.co_names[code.argument(found.start())] for found in _FIND_STORES.finditer(code.opcodes)}


_FIND_LOADS = re.compile(re.escape(bytes([LOAD_GLOBAL])), re.DOTALL)
_FIND_STORES = re.compile(b"[" + re.escape(bytes([dis.opmap["STORE_GLOBAL"], dis.opmap["DELETE_GLOBAL"]])) + b"]")


def _first_handler(code: Code) -> int:
    """The position where the first exception handler of a `try` or `with` begins.

    From 3.12 on, all handlers come after all other code. On earlier versions, some other code also comes after them.
    """
    if VERSION == (3, 10):
        setups = (index for index, opcode in enumerate(code.opcodes) if opcode in _SETUPS)
        return min((code.target(index) for index in setups), default=len(code.opcodes))
    found = code.opcodes.find(dis.opmap["PUSH_EXC_INFO"])
    return found if found >= 0 else len(code.opcodes)


_SETUPS = {opcode for name, opcode in dis.opmap.items() if name.startswith("SETUP_") and name != "SETUP_ANNOTATIONS"}


def _find_await(code: Code, start: int) -> _Await | None:
    """The await that begins at ``start``.

    None if it does not have the known shape, if another instruction jumps into it, or if its instructions have different
    exception handlers.
    """
    opcodes = code.opcodes
    end = start + len(_SHAPE.opcodes)
    if opcodes[start:end] != _SHAPE.opcodes or code.entered[start:end] != _SHAPE.entered:
        return None
    none = code.arguments[start + _SHAPE.none]
    if code.code.co_consts[none] is not None if _AWAIT_NONE.opname == "LOAD_CONST" else none != _AWAIT_NONE.arg:
        return None
    if VERSION >= (3, 11):
        end = _end_of_loop(code, start, end)
    return _Await(start, start + _SHAPE.none, end) if end else None


def _end_of_loop(code: Code, start: int, end: int) -> int:
    """The position after the loop of the await that begins at ``start``; 0 if it is not as the compiler makes it."""
    opcodes = code.opcodes
    send, handler = start + _SHAPE.send, code.handler(start)[0]
    if code.target(end - 1) != send or code.handler(send)[0] != handler:
        return 0
    thrown = code.handler(send + SIZES[opcodes[send]])[0]
    if VERSION >= (3, 12):
        # An exception thrown in passes through a CLEANUP_THROW on its way to the same handler. Within an exception handler,
        # the CLEANUP_THROW is part of the await.
        if thrown is None or opcodes[thrown.target] != dis.opmap["CLEANUP_THROW"]:
            return 0
        thrown = code.handler(thrown.target)[0]
        end += 2 if opcodes[end] == dis.opmap["CLEANUP_THROW"] else 1
        if code.target(send) != end - 1 or opcodes[end - 1] != dis.opmap["END_SEND"]:
            return 0
    elif code.target(send) != end:
        return 0
    return end if thrown == handler else 0


def _same_handler(code: Code, index: int, other: int) -> bool:
    """Whether exceptions of two instructions have the same handler, or none."""
    return code.handler(index)[0] == code.handler(other)[0]


_YIELD = [("YIELD_VALUE", 0), ("RESUME", 1)] if VERSION >= (3, 11) else [("YIELD_VALUE", 0)]


def _replace_call(code: Code, load: int, call: Call, await_: _Await, changed: bytearray) -> bool:
    """Turn ``await yield_(x)`` into ``yield x``, without a call. False if its instructions do not allow that."""
    count = code.argument(call.first)
    if count > 1 or code.is_extended(load):
        return False
    none = (_AWAIT_NONE.opname, code.arguments[await_.none])
    _write(changed, load, load + SIZES[LOAD_GLOBAL], [] if count else [none])
    _write_yield(code, call, await_, _WRAP, changed)
    return True


def _join_calls(code: Code, load: int, call: Call, await_: _Await, constant: int, changed: bytearray) -> bool:
    """Turn ``await yield_from_(f(x))`` into a yield of ``yield_from_call(f, x)``. False if its instructions do not allow it.

    Args:
        code: the original.
        load: the instruction that loads ``yield_from_``.
        call: the call of ``yield_from_``.
        await_: the await of its result.
        constant: the index that ``yield_from_call`` has in the constants of the copy.
        changed: the bytecode of the copy.
    """
    function = load + SIZES[LOAD_GLOBAL]
    inner = code.call_of(function) if code.opcodes[function] == LOAD_GLOBAL else None
    if inner is None or inner.end != call.first or inner.keywords or code.entered[call.first]:
        return False
    if constant > 255 or code.is_extended(load) or code.argument(inner.first) > 253 or code.argument(call.first) != 1:
        return False
    push = [("PUSH_NULL", 0), ("LOAD_CONST", constant)][2 - CALLABLE_SLOTS :]
    _write(changed, load, function, push if VERSION < (3, 13) else push[::-1])
    if CALLABLE_SLOTS == 2:
        changed[2 * function + 1] &= ~1  # load the function without a NULL: it is an argument now
    for index in {inner.first, inner.last}:
        changed[2 * index + 1] += 1
    _write_yield(code, call, await_, [], changed)
    return True


def _write_yield(code: Code, call: Call, await_: _Await, before: list[tuple[str, int]], changed: bytearray) -> None:
    """Replace a call and its await by a real yield, whose line is that of the await.

    Args:
        code: the original.
        call: the call.
        await_: its await.
        before: the instructions, as (name, argument), that come before the yield.
        changed: the bytecode of the copy.
    """
    if code.line(call.first) == code.line(await_.start):
        _write(changed, call.first, await_.end, before + _YIELD)
    else:
        _write(changed, call.first, await_.start, before)
        _write(changed, await_.start, await_.end, _YIELD)


def _write(code: bytearray, start: int, end: int, made: list[tuple[str, int]]) -> None:
    """Write instructions from one position on, and a jump over the units that are left up to another position.

    Args:
        code: the bytecode.
        start: the first position.
        end: the position after the last one that is overwritten.
        made: the instructions, as (name, argument).
    """
    for name, argument in made:
        opcode = dis.opmap[name]
        code[2 * start : 2 * (start + SIZES[opcode])] = bytes([opcode, argument]).ljust(2 * SIZES[opcode], b"\0")
        start += SIZES[opcode]
    if start < end:
        code[2 * start : 2 * start + 2] = bytes([dis.opmap["JUMP_FORWARD"], end - start - 1])
        # These units are never run, but a debug build that instruments the code takes each of them for an instruction.
        code[2 * start + 2 : 2 * end] = bytes([dis.opmap["NOP"], 0]) * (end - start - 1)


# The sample ------------------------------------------------------------------------------------------------------------


class _Two:
    """An async iterable of two items. ``asend()`` answers the sent value."""

    def __init__(self) -> None:
        self._items = iter("ab")

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        for item in self._items:
            return item
        raise StopAsyncIteration("result")

    async def asend(self, value: Any) -> Any:
        for _ in self._items:
            return value
        raise StopAsyncIteration("result")


async def _other() -> int:
    return 2


async def _sample(value: Any) -> Any:
    seen = [await yield_(value if value else [item for item in (1, 2)])]
    try:
        seen.append((await yield_(), 1))
    except KeyError as error:
        seen.append(error)
        try:
            await yield_(("handling", sys.exc_info()[1]))
        finally:
            seen.append(await yield_([[item] for item in (1, 2) if item]))
    for part in ("x", "y"):
        seen.append(
            [await yield_(part if value else None), await yield_from_(_Two()), await yield_(await yield_(part))]
        )
    seen.append(await (_other() if value else yield_("not this")))
    seen.append(await (yield_("or this") if value else _other()))
    return seen


def _transcript(function: Any, traits: int) -> list[Any]:
    """The answers of a generator that runs ``function``, the sample or its copy, with these traits."""
    answers: list[Any] = []
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)  # the program's event loop must not see the sample
    try:
        _drive(_engine.factory(function, None, lambda sample, *_: (sample, (), traits))("item"), answers)
    finally:
        sys.set_asyncgen_hooks(*hooks)
    return answers


def _drive(generator: Any, answers: list[Any]) -> None:
    for step in range(24):
        operation = generator.athrow(_ERROR) if step == 2 else generator.asend(step or None)
        try:
            operation.send(None)
        except (StopIteration, StopAsyncIteration) as stop:
            answers.append((type(stop), stop.args))


_ERROR = KeyError("thrown")


def _run_sample() -> None:
    global disabled
    if not KNOWN:
        disabled = f"the bytecode of Python {VERSION[0]}.{VERSION[1]} is not known"
        return
    if VERSION == (3, 12) and not _engine.MAIN_INTERPRETER:
        # Measured on 3.12.1: after a sub-interpreter has copied code, the main interpreter frees a foreign tuple.
        disabled = "sub-interpreters of Python 3.12 do not survive it"
        return
    try:
        code, names, traits = _rewrite(_sample.__code__, globals())
        answers = _transcript(FunctionType(code, globals()), traits)
        expected = _transcript(_sample, 0)
        matches = answers == expected and len(names) >= 3 and len(expected) == 24
        disabled = None if matches else f"the rewritten sample answered {answers}, not {expected}"
    except MemoryError:
        raise
    except Exception as unexpected:  # an unknown layout can fail in any way; the original code always works
        disabled = f"the rewritten sample failed: {unexpected!r}"
    finally:
        _ERROR.__traceback__ = _ERROR.__context__ = None
