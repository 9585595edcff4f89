"""Real yields in place of ``await yield_()``: everything here that depends on a version's bytecode.

``await yield_(x)`` compiles to a call, GET_AWAITABLE, and a loop that sends into the awaitable.  The call stays; in a copy
of the code, of the same length, the loop becomes one YIELD_VALUE that hands what the call returned to the engine.  Line
numbers, jumps and exception tables stay valid.  The rewritten code takes ``yield_`` and ``yield_from_`` only from the
globals where they had that meaning when the copy was made; the engine falls back to the original code as soon as they no
longer have it.

On the first use a sample is rewritten and run.  Where it does not do what the original does, or the version is unknown,
nothing is rewritten: the plain path gives the same results.
"""

import dis
import sys
from types import CodeType, FunctionType
from typing import Any

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
_LEAVES = {"RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE", "JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_ABSOLUTE"}

#: Why nothing is rewritten, or None while rewriting is on. Unknown until the sample has run.
disabled: str | None = "not used yet"
_tested = False


def rewrite(code: CodeType, namespace: dict[str, Any]) -> tuple[CodeType, tuple[Any, ...]]:
    """A copy of ``code`` with real yields, and the (name, object, ...) pairs of globals that it relies on.

    The code itself and an empty tuple where there is nothing to rewrite.
    """
    global _tested
    if not _tested:
        _tested = True
        _run_sample()
    return (code, ()) if disabled else _rewrite(code, namespace)


def _rewrite(code: CodeType, namespace: dict[str, Any]) -> tuple[CodeType, tuple[Any, ...]]:
    meanings = {name: namespace.get(name) for name in code.co_names}
    wanted = {name: value for name, value in meanings.items() if value is yield_ or value is yield_from_}
    if not wanted:
        return code, ()
    instructions = list(dis.get_instructions(code))
    changed = bytearray(code.co_code)
    used: dict[str, Any] = {}
    for index, instruction in enumerate(instructions):
        if instruction.opname == "LOAD_GLOBAL" and instruction.argval in wanted:
            call = _find_call(instructions, index)
            if call is not None and _replace_await(instructions, call + 1, changed):
                used[instruction.argval] = wanted[instruction.argval]
    if not used:
        return code, ()
    return code.replace(co_code=bytes(changed)), tuple(part for pair in used.items() for part in pair)


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
        has_argument = instruction.opcode >= dis.HAVE_ARGUMENT
        if instruction.opcode in _JUMPS:
            effect = dis.stack_effect(instruction.opcode, argument, jump=True)
            at_target[instruction.argval] = depth + effect
        effect = dis.stack_effect(instruction.opcode, argument if has_argument else None, jump=False)
        depth += effect
        if instruction.opname in _LEAVES:
            following = instructions[index + 1].offset if index + 1 < len(instructions) else None
            if following not in at_target:
                return None
    return None


_JUMPS = set(dis.hasjrel) | set(dis.hasjabs)


def _replace_await(instructions: list[dis.Instruction], index: int, code: bytearray) -> bool:
    """Turn the await that begins at ``index`` into a real yield. False where no await of the known shape begins."""
    shape = instructions[index : index + len(_AWAIT)]
    if [instruction.opname for instruction in shape] != _AWAIT:
        return False
    start = shape[0].offset
    if shape[-1].offset != start + 2 * (len(shape) - 1):  # EXTENDED_ARG in between
        return False
    if _VERSION == (3, 10):
        code[start : start + 6] = bytes([dis.opmap["YIELD_VALUE"], 0, dis.opmap["NOP"], 0, dis.opmap["NOP"], 0])
        return True
    end = shape[-1].argval
    if _VERSION >= (3, 12):  # the loop ends in END_SEND, which drops the awaitable
        end += 2
    made = [dis.opmap["YIELD_VALUE"], 0, dis.opmap["RESUME"], 1]
    made += [0, 0] * _caches("RESUME")
    jump = (end - (start + len(made) + 2)) // 2
    made += [dis.opmap["JUMP_FORWARD"], jump]
    if not 0 <= jump < 256:
        return False
    code[start : start + len(made)] = bytes(made)
    return True


def _caches(name: str) -> int:
    """How many inline cache units an instruction has."""
    if _VERSION >= (3, 13):
        return dis._inline_cache_entries.get(name, 0)  # type: ignore[attr-defined]
    return dis._inline_cache_entries[dis.opmap[name]] if _VERSION >= (3, 11) else 0  # type: ignore[attr-defined]


# The sample ------------------------------------------------------------------------------------------------------------


async def _sample(value: Any) -> Any:
    seen = [await yield_(value if value else [item for item in (1, 2)])]
    try:
        seen.append((await yield_(), 1))
    except KeyError as error:
        seen.append(error)
        try:
            await yield_(("handling", sys.exc_info()[1]))
        finally:
            seen.append(await yield_("finally"))
    for part in ("x", "y"):
        seen.append([await yield_(part if value else None), await yield_from_(part)])
    return seen


def _run_sample() -> None:
    global disabled
    if not (3, 10) <= _VERSION <= (3, 15):
        disabled = f"the bytecode of Python {_VERSION[0]}.{_VERSION[1]} is not known"
        return
    error = KeyError("thrown")
    steps = [("send", None), ("send", 1), ("throw", error), ("send", 2), ("send", 3), ("send", 0), ("send", 1), ("send", 2)]
    operators = [yield_] * 5 + [yield_from_, yield_, yield_from_]
    expected = [type(_close(operator(None))) for operator in operators]
    result = [1, error, 3, [0, 1], [2, 3]]
    try:
        code, names = _rewrite(_sample.__code__, globals())
        coroutine = FunctionType(code, globals())("item")
        answers = [type(_close(getattr(coroutine, operation)(argument))) for operation, argument in steps]
        try:
            coroutine.send(3)
            disabled = "the rewritten sample did not end"
        except StopIteration as stop:
            matches = answers == expected and stop.value == result and len(names) == 4
            disabled = None if matches else f"the rewritten sample answered {answers} and {stop.value}"
    except Exception as unexpected:  # an unknown layout can fail in any way; the plain path is always there
        disabled = f"the rewritten sample failed: {unexpected!r}"


def _close(awaitable: Any) -> Any:
    """Keep the warning quiet that nobody awaited it."""
    awaitable.close()
    return awaitable
