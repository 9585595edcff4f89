"""Real yields in place of ``await yield_()``: everything here that depends on a version's bytecode.

``await yield_(x)`` compiles to a load of ``yield_``, the argument, a call, and a loop that sends into what the call
returned.  In a copy of the code, of the same length, that becomes what ``yield x`` compiles to in a native async
generator: the argument, wrapped, and one YIELD_VALUE.  For ``yield_from_(x)``, and where the argument has exception
handlers of its own, the call stays and only the loop becomes a YIELD_VALUE, which hands what the call returned to the
engine.  ``yield_from_(f(x))``, the usual delegation, keeps one call of the two: of a builtin function of the engine, which
calls ``f``.  (On 3.10 YIELD_VALUE itself wraps, by a flag of the code; there whatever is neither a simple ``yield_`` nor
such a delegation stays as it is.)  Line numbers, jumps and exception tables stay valid.

The names must be globals that mean ``yield_`` and ``yield_from_`` when the copy is made.  The engine checks that they
still do whenever it makes a generator, and otherwise uses the original code.

On the first use a sample is rewritten and run.  Where it does not do what the original does, or the version is unknown,
nothing is rewritten: the plain path gives the same results.
"""

import bisect
import dis
import inspect
import sys
from types import CodeType, FunctionType
from typing import Any

from . import _engine
from ._operators import yield_, yield_from_

_VERSION = sys.version_info[:2]
_CALL = {(3, 10): "CALL_FUNCTION", (3, 11): "PRECALL"}.get(_VERSION, "CALL")
# How many stack slots a callable takes below its arguments: itself and, from 3.11 on, a NULL or self.
_CALLABLE_SLOTS = 1 if _VERSION == (3, 10) else 2
# How an await begins.
_AWAIT = {
    (3, 10): ["GET_AWAITABLE", "LOAD_CONST", "YIELD_FROM"],
    (3, 15): ["GET_AWAITABLE", "PUSH_NULL", "LOAD_COMMON_CONSTANT", "SEND"],
}.get(_VERSION, ["GET_AWAITABLE", "LOAD_CONST", "SEND"])
_JUMPS = set(dis.hasjrel) | set(dis.hasjabs)
_LEAVES = {"RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE", "JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_ABSOLUTE"}


def _find_wrap() -> list[tuple[str, int]]:
    """The instruction that wraps the item of a native async generator; none on 3.10, whose YIELD_VALUE does that."""

    async def native() -> Any:
        yield

    instructions = list(dis.get_instructions(native))
    for before, after in zip(instructions, instructions[1:], strict=False):
        if after.opname == "YIELD_VALUE" and before.opname in ("ASYNC_GEN_WRAP", "CALL_INTRINSIC_1"):
            return [(before.opname, before.arg or 0)]
    return []


async def _none() -> Any:
    await yield_()


_WRAP = _find_wrap()
# How an await loads the None that it sends first.
_AWAIT_NONE = next(i for i in dis.get_instructions(_none) if i.opname.startswith("LOAD_") and i.argval is None)

#: Why nothing is rewritten, or None while rewriting is on. Unknown until the sample has run.
disabled: str | None = "not used yet"
_tested = False


def rewrite(code: CodeType, namespace: dict[str, Any]) -> tuple[CodeType, tuple[Any, ...], int]:
    """A copy of ``code`` with real yields, the globals it relies on, and the engine's flags for it.

    The globals are ``(namespace, name, object, name, object, ...)``.  The code itself, an empty tuple and 0 where there is
    nothing to rewrite.
    """
    global _tested
    if not _tested:
        _run_sample()
        _tested = True  # not when an interrupt came out: it would stay off for ever
    return (code, (), 0) if disabled else _rewrite(code, namespace)


def _rewrite(code: CodeType, namespace: dict[str, Any]) -> tuple[CodeType, tuple[Any, ...], int]:
    meanings = {name: namespace.get(name) for name in code.co_names}
    wanted = {name: value for name, value in meanings.items() if value is yield_ or value is yield_from_}
    if not wanted:
        return code, (), 0
    instructions = list(dis.get_instructions(code))
    handlers = [entry.start for entry in getattr(dis.Bytecode(code), "exception_entries", ())]
    # Handlers stand behind all other code from 3.12 on; before, some other code, too, stands behind them. An exception that
    # leaves a delegate must arrive there as it is, where throw() would give it the handled exception as its context: so
    # there yield_from_() is awaited.
    targets = {one.argval for one in instructions if one.opname.startswith("SETUP_")}  # 3.10
    in_handlers = next(
        (i for i, one in enumerate(instructions) if one.opname == "PUSH_EXC_INFO" or one.offset in targets),
        len(instructions),
    )
    changed = bytearray(code.co_code)
    constants = code.co_consts
    used: dict[str, Any] = {}
    flags = _engine.REAL_YIELDS
    for index, instruction in enumerate(instructions):
        if instruction.opname != "LOAD_GLOBAL" or instruction.argval not in wanted:
            continue
        operator = wanted[instruction.argval]
        call = _find_call(instructions, index)
        await_ = _find_await(instructions, call + 1) if call is not None else None
        if call is None or await_ is None:
            continue
        start = instructions[call].offset
        simple = bisect.bisect_right(handlers, instruction.offset) == bisect.bisect_right(handlers, start)
        if not (simple and operator is yield_ and _replace_call(instructions, index, call, await_, changed)):
            if operator is yield_from_ and index > in_handlers:
                continue
            constant = len(code.co_consts)
            if simple and operator is yield_from_ and _join_calls(instructions, index, call, await_, constant, changed):
                constants = (*code.co_consts, _engine.yield_from_call)
            elif _VERSION == (3, 10):
                continue
            else:
                _replace_await(*await_, changed)
                flags |= _engine.KEPT_CALLS
        used[instruction.argval] = operator
    if not used:
        return code, (), 0
    made = code.replace(co_code=bytes(changed), co_consts=constants)
    # Without the call the frame needs less of the stack, which is memory of every generator. Where the count disagrees with
    # the compiler about the original, it is not to be relied on.
    if code.co_stacksize == max(_stack_size(code), 1):
        made = made.replace(co_stacksize=max(_stack_size(made), 1))
    return yielding(made), (namespace, *(part for pair in used.items() for part in pair)), flags


def yielding(code: CodeType) -> CodeType:
    """``code``, a coroutine's, such that its real yields wrap their items."""
    return code.replace(co_flags=code.co_flags | inspect.CO_ASYNC_GENERATOR) if _VERSION == (3, 10) else code


def yields_items(code: CodeType) -> bool:
    """Whether ``code`` has yields of its own, as a native async generator's has, besides those of its awaits."""
    sign = _WRAP[0] if _WRAP else ("YIELD_VALUE", 0)
    return any((one.opname, one.arg or 0) == sign for one in dis.get_instructions(code))


def _find_call(instructions: list[dis.Instruction], start: int) -> int | None:
    """The index of the last instruction of the call whose callable the instruction at ``start`` loads, if it follows in
    one expression."""
    depth = 0  # of the stack, above what was there before the callable
    at_target: dict[int, int] = {}
    for index in range(start, len(instructions)):
        instruction = instructions[index]
        depth = at_target.get(instruction.offset, depth)
        if index > start and depth < _CALLABLE_SLOTS:
            return None
        argument = instruction.arg or 0
        if instruction.opname == _CALL and depth - argument == _CALLABLE_SLOTS:
            return index + 1 if _CALL == "PRECALL" else index
        if instruction.opcode in _JUMPS:
            at_target[instruction.argval] = depth + _effect(instruction, jump=True)
        depth += _effect(instruction)
        if instruction.opname in _LEAVES:
            following = instructions[index + 1].offset if index + 1 < len(instructions) else None
            if following not in at_target:
                return None
    return None


def _find_await(instructions: list[dis.Instruction], index: int) -> tuple[int, int] | None:
    """The offsets where the await that begins at ``index`` starts and where it ends, if it has the known shape."""
    shape = instructions[index : index + len(_AWAIT)]
    if [instruction.opname for instruction in shape] != _AWAIT:
        return None
    start = shape[0].offset
    if shape[-1].offset != start + 2 * (len(shape) - 1):  # EXTENDED_ARG in between
        return None
    if _VERSION == (3, 10):
        return start, start + 6
    # From 3.12 on the loop ends in END_SEND, which drops the awaitable.
    return start, shape[-1].argval + (2 if _VERSION >= (3, 12) else 0)


def _replace_await(start: int, end: int, code: bytearray) -> None:
    """Turn the await between two offsets into a real yield of what is awaited."""
    _write(code, start, end, [("YIELD_VALUE", 0), ("RESUME", 1)])


def _replace_call(
    instructions: list[dis.Instruction], index: int, call: int, await_: tuple[int, int], code: bytearray
) -> bool:
    """Turn ``await yield_(x)`` into ``yield x``: no call is left. False where that does not fit."""
    load = instructions[index]
    first = call - 1 if _CALL == "PRECALL" else call
    count = instructions[first].arg or 0
    if count > 1 or (index > 0 and instructions[index - 1].opname == "EXTENDED_ARG"):
        return False
    nothing = [(_AWAIT_NONE.opname, _AWAIT_NONE.arg or 0)] if count == 0 else []
    if count == 0 and _AWAIT_NONE.opname == "LOAD_CONST":
        nothing = [("LOAD_CONST", next(i.arg or 0 for i in instructions[call:] if i.opname == "LOAD_CONST"))]
        if nothing[0][1] > 255:
            return False
    following = instructions[index + 1].offset
    _write(code, load.offset, following, nothing)
    _write(code, instructions[first].offset, await_[1], [*_WRAP, ("YIELD_VALUE", 0), ("RESUME", 1)])
    return True


def _join_calls(
    instructions: list[dis.Instruction], index: int, call: int, await_: tuple[int, int], constant: int, code: bytearray
) -> bool:
    """Turn ``await yield_from_(f(x))`` into a yield of ``yield_from_call(f, x)``, which is the constant of that number.
    False where that does not fit."""
    load, load_function = instructions[index : index + 2]
    if load_function.opname != "LOAD_GLOBAL" or instructions[index - 1].opname == "EXTENDED_ARG" or constant > 255:
        return False
    own = 2 if _CALL == "PRECALL" else 1
    first, inner = call - own + 1, _find_call(instructions, index + 1)
    if inner is None or inner != first - 1 or instructions[first].arg != 1:
        return False
    call_function = instructions[inner - own + 1 : first]
    if (call_function[0].arg or 0) > 253 or instructions[inner - own].opname == "KW_NAMES":
        return False
    push = [("PUSH_NULL", 0), ("LOAD_CONST", constant)][2 - _CALLABLE_SLOTS :]
    _write(code, load.offset, load_function.offset, push if _VERSION < (3, 13) else push[::-1])
    if _CALLABLE_SLOTS == 2:
        code[load_function.offset + 1] &= ~1  # the function without a NULL: it is an argument now
    for instruction in call_function:
        code[instruction.offset + 1] += 1
    _replace_await(instructions[first].offset, await_[1], code)
    return True


def _write(code: bytearray, start: int, end: int, made: list[tuple[str, int]]) -> None:
    """Put instructions between two offsets, and a jump over what is left."""
    position = start
    for name, argument in made:
        if name == "RESUME" and _VERSION == (3, 10):
            continue
        size = 2 + 2 * _caches(name)
        code[position : position + size] = bytes([dis.opmap[name], argument]) + bytes(size - 2)
        position += size
    if position < end:
        code[position : position + 2] = bytes([dis.opmap["JUMP_FORWARD"], (end - position - 2) // 2])


def _stack_size(code: CodeType) -> int:
    """How deep the stack of ``code`` gets, on every path through it, handlers included: the compiler's own count
    (Python/flowgraph.c, calculate_stackdepth)."""
    instructions = list(dis.get_instructions(code))
    index_of = {instruction.offset: index for index, instruction in enumerate(instructions)}
    offsets = list(index_of)
    handlers: dict[int, tuple[int, int]] = {}  # where an exception at an index goes, and how deep the stack is there
    for one in getattr(dis.Bytecode(code), "exception_entries", ()):
        covered = range(bisect.bisect_left(offsets, one.start), bisect.bisect_left(offsets, one.end))
        handlers.update(dict.fromkeys(covered, (index_of[one.target], one.depth + one.lasti + 1)))
    depths: dict[int, int] = {}  # the greatest seen, by index
    paths = [(0, 1 if instructions[0].opname == "GEN_START" else 0)]
    deepest = 0
    while paths:
        index, depth = paths.pop()
        while depths.get(index, -1) < depth:
            depths[index] = depth
            instruction = instructions[index]
            if index in handlers:
                paths.append(handlers[index])
            if instruction.opcode in _JUMPS:
                paths.append((index_of[instruction.argval], depth + _effect(instruction, jump=True)))
            before, depth = depth, depth + _effect(instruction)
            deepest = max(deepest, before, depth)
            if instruction.opname in _LEAVES or instruction.opname == "JUMP_BACKWARD_NO_INTERRUPT":
                break
            index += 1
    return deepest


def _effect(instruction: dis.Instruction, jump: bool = False) -> int:
    """What an instruction adds to the stack."""
    if instruction.opname == "RETURN_GENERATOR":
        return 1  # what the generator is resumed with; up to 3.12 stack_effect() leaves it out
    argument = instruction.arg if instruction.opcode >= dis.HAVE_ARGUMENT else None
    return dis.stack_effect(instruction.opcode, argument, jump=jump)


def _caches(name: str) -> int:
    """How many inline cache units an instruction has."""
    if _VERSION >= (3, 13):
        return dis._inline_cache_entries.get(name, 0)  # type: ignore[attr-defined,no-any-return]
    return dis._inline_cache_entries[dis.opmap[name]] if _VERSION >= (3, 11) else 0  # type: ignore[attr-defined]


# The sample ------------------------------------------------------------------------------------------------------------


class _Two:
    """An async iterable of two items, which answers what it is sent."""

    def __init__(self) -> None:
        self._items = iter("ab")

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        for item in self._items:
            return item
        raise StopAsyncIteration("result")

    async def asend(self, value: Any) -> Any:
        return value


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
    return seen


def _transcript(function: Any, flags: int) -> list[Any]:
    """What a generator over the sample answers."""
    answers: list[Any] = []
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)  # the program's event loop has no business with the sample
    try:
        _drive(_engine.maker(function, lambda sample, _: (sample, (), flags))("item"), answers)
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
    if not (3, 10) <= _VERSION <= (3, 15):
        disabled = f"the bytecode of Python {_VERSION[0]}.{_VERSION[1]} is not known"
        return
    if _VERSION == (3, 12) and not _engine.MAIN_INTERPRETER:
        # Measured on 3.12.1: after code was taken apart and copied there, the main interpreter frees a foreign tuple.
        disabled = "sub-interpreters of Python 3.12 do not survive it"
        return
    try:
        code, names, flags = _rewrite(_sample.__code__, globals())
        answers = _transcript(FunctionType(code, globals()), flags)
        expected = _transcript(_sample, 0)
        matches = answers == expected and len(names) >= 3 and len(expected) == 24
        disabled = None if matches else f"the rewritten sample answered {answers}, not {expected}"
    except MemoryError:
        raise
    except Exception as unexpected:  # an unknown layout can fail in any way; the plain path is always there
        disabled = f"the rewritten sample failed: {unexpected!r}"
    finally:
        _ERROR.__traceback__ = _ERROR.__context__ = None
