"""Read bytecode: instructions, jumps, exception handlers and stack depths; and prove what rewriting relies on.

``dis`` makes an object for each instruction, and up to 3.12 searches a list of labels for each of them. This module
looks instructions up by position, in units of two bytes, and computes only what a caller asks for. It does not change
code.
"""

import bisect
import dis
import re
import sys
from collections.abc import Callable
from types import CodeType
from typing import NamedTuple

VERSION = sys.version_info[:2]
KNOWN = (3, 10) <= VERSION <= (3, 15)
# The number of stack slots that a callable takes below its arguments: itself and, from 3.11 on, a NULL or self.
CALLABLE_SLOTS = 1 if VERSION == (3, 10) else 2
# The instruction that begins a call. Up to 3.12, the instruction before it names the keyword arguments.
CALL = dis.opmap[{(3, 10): "CALL_FUNCTION", (3, 11): "PRECALL"}.get(VERSION, "CALL")]
_CALL_KW = dis.opmap.get("CALL_KW")
_KW_NAMES = dis.opmap.get("KW_NAMES")
_EXTENDED_ARG = dis.EXTENDED_ARG
LOAD_GLOBAL = dis.opmap["LOAD_GLOBAL"]


def _sized(name: str) -> int:
    """The number of units of an instruction, with its inline caches."""
    caches = getattr(dis, "_inline_cache_entries", {})
    return 1 + int(caches.get(name, 0) if VERSION >= (3, 13) else caches[dis.opmap[name]] if caches else 0)


def _opcodes(*names: str) -> frozenset[int]:
    return frozenset(dis.opmap[name] for name in names if name in dis.opmap)


_NAMES = [name for name, opcode in dis.opmap.items() if opcode < 256]
#: The number of units of each instruction, by opcode.
SIZES = [1] * 256
for _name in _NAMES if KNOWN else ():
    SIZES[dis.opmap[_name]] = _sized(_name)
# The argument of END_ASYNC_FOR tells sys.monitoring where the loop is; the instruction does not jump.
_JUMPS = {one for one in (*dis.hasjrel, *dis.hasjabs) if one < 256} - _opcodes("END_ASYNC_FOR")
_BACKWARD = {dis.opmap[name] for name in _NAMES if "JUMP_BACKWARD" in name}
_ABSOLUTE = set(dis.hasjabs)
_SETUPS = _opcodes("SETUP_FINALLY", "SETUP_WITH", "SETUP_ASYNC_WITH")  # 3.10: only an exception jumps
_FIND_JUMPS = re.compile(b"[" + re.escape(bytes(sorted(_JUMPS))) + b"]", re.DOTALL)
_LEAVES = _opcodes(
    "RETURN_VALUE",
    "RETURN_CONST",
    "RAISE_VARARGS",
    "RERAISE",
    "JUMP_FORWARD",
    "JUMP_BACKWARD",
    "JUMP_BACKWARD_NO_INTERRUPT",
    "JUMP_ABSOLUTE",
)
_HAS_ARGUMENT = [opcode >= dis.HAVE_ARGUMENT for opcode in range(256)]


def effect(opcode: int, argument: int, jump: bool = False) -> int:
    """The number of slots that an instruction adds to the stack.

    Args:
        opcode: the instruction.
        argument: its argument, with those of its EXTENDED_ARGs; ignored if the instruction takes none.
        jump: whether the instruction jumps.

    Returns:
        The number of slots; negative if the stack shrinks.
    """
    if opcode == _RETURN_GENERATOR:
        return 1  # the value that resumes the generator; up to 3.12, stack_effect() does not count it
    return dis.stack_effect(opcode, argument if _HAS_ARGUMENT[opcode] else None, jump=jump)


_RETURN_GENERATOR = dis.opmap.get("RETURN_GENERATOR")

# How deep an instruction reaches --------------------------------------------------------------------------------------
#
# dis.stack_effect() tells how many slots an instruction adds to the stack, but not how deep it reaches into the stack.
# This table does, for the instructions that the compiler uses within an expression. With any other instruction, the
# proof fails.


def _takes(opcode: int, argument: int) -> int:
    return -effect(opcode, argument)


def _takes_and_leaves_one(opcode: int, argument: int) -> int:
    return 1 - effect(opcode, argument)


def _argument(more: int) -> Callable[[int, int], int]:
    return lambda opcode, argument: argument + more


def _always(count: int) -> Callable[[int, int], int]:
    return lambda opcode, argument: count


def _reaching() -> dict[int, Callable[[int, int], int]]:
    awaited = 3 if VERSION >= (3, 15) else 2  # slots of an await: the iterator, the sent value, from 3.15 on a NULL
    by_name = {
        _always(0): "NOP NOT_TAKEN RESUME KW_NAMES PUSH_NULL JUMP_FORWARD JUMP_BACKWARD JUMP_BACKWARD_NO_INTERRUPT "
        "JUMP_ABSOLUTE LOAD_CONST LOAD_COMMON_CONSTANT LOAD_SMALL_INT LOAD_FAST LOAD_FAST_CHECK LOAD_FAST_AND_CLEAR "
        "LOAD_FAST_BORROW LOAD_FAST_LOAD_FAST LOAD_FAST_BORROW_LOAD_FAST_BORROW LOAD_DEREF LOAD_CLOSURE "
        "LOAD_CLASSDEREF LOAD_GLOBAL LOAD_NAME",
        _always(1): "LOAD_ATTR LOAD_METHOD GET_ITER GET_ANEXT JUMP_IF_TRUE_OR_POP JUMP_IF_FALSE_OR_POP DUP_TOP "
        "STORE_FAST_LOAD_FAST",
        _always(2): "DUP_TOP_TWO ROT_TWO",
        _always(3): "LOAD_SUPER_ATTR ROT_THREE",
        _always(4): "ROT_FOUR",
        _always(awaited - 1): "FOR_ITER",
        _always(awaited): "SEND",
        _always(awaited + 1): "CLEANUP_THROW",
        _argument(0): "COPY SWAP ROT_N",
        _argument(1): "LIST_APPEND SET_ADD LIST_EXTEND SET_UPDATE DICT_UPDATE RERAISE",
        _argument(2): "MAP_ADD",
        _argument(2 + CALLABLE_SLOTS): "DICT_MERGE",  # its error message names the callable
        _takes: "POP_TOP STORE_FAST STORE_FAST_STORE_FAST STORE_DEREF STORE_GLOBAL STORE_NAME END_FOR POP_ITER PRECALL "
        "END_ASYNC_FOR " + " ".join(name for name in _NAMES if name.startswith("POP_JUMP_")),
        _takes_and_leaves_one: "COMPARE_OP IS_OP CONTAINS_OP CALL CALL_KW CALL_FUNCTION CALL_FUNCTION_KW "
        "CALL_FUNCTION_EX CALL_METHOD FORMAT_VALUE FORMAT_SIMPLE FORMAT_WITH_SPEC CONVERT_VALUE MAKE_FUNCTION "
        "SET_FUNCTION_ATTRIBUTE TO_BOOL GET_AITER GET_AWAITABLE LIST_TO_TUPLE YIELD_VALUE YIELD_FROM END_SEND "
        "ASYNC_GEN_WRAP CALL_INTRINSIC_1 CALL_INTRINSIC_2 "
        + " ".join(name for name in _NAMES if name.startswith(("UNARY_", "BINARY_", "INPLACE_", "BUILD_"))),
    }
    return {dis.opmap[name]: reach for reach, names in by_name.items() for name in names.split() if name in dis.opmap}


_REACHING = _reaching()
_reach_and_effect: dict[int, tuple[int, int]] = {}


def _measure(opcode: int, argument: int) -> tuple[int, int]:
    """How deep an instruction reaches into the stack, and how many slots it adds.

    For an unknown instruction, the depth is larger than any stack.
    """
    reach = _REACHING.get(opcode)
    known = (reach(opcode, argument), effect(opcode, argument)) if reach else (sys.maxsize, 0)
    if len(_reach_and_effect) < 4096:
        _reach_and_effect[opcode | argument << 8] = known
    return known


class Handler(NamedTuple):
    """An entry of the exception table (CPython's Objects/exception_handling_notes.txt)."""

    target: int
    """The position where the handler begins."""
    depth: int
    """The number of slots that stay on the stack."""
    lasti: bool
    """Whether the position of the instruction that raised is pushed, too."""


class Call(NamedTuple):
    """The only call that can use the callable which a load pushes."""

    first: int
    """The first instruction of the call."""
    last: int
    """The last instruction of the call. Only on 3.11 it is another one than ``first``."""
    end: int
    """The instruction after the call."""
    keywords: bool
    """Whether the call passes arguments by keyword."""
    simple: bool
    """Whether the load's exception handler, or none, covers all instructions from the load to the call.

    Then no other handler depends on the depth of the stack between them.
    """


class Code:
    """A code object whose instructions are identified by position. An EXTENDED_ARG belongs to the instruction after it.

    Args:
        code: the code object.
    """

    def __init__(self, code: CodeType) -> None:
        raw = code.co_code
        self.code = code
        self.opcodes, self.arguments = raw[::2], raw[1::2]
        self.starts: list[int] = []
        self.entries: list[tuple[int, Handler]] = []  # (end, handler) for each of `starts`
        self._read_handlers(getattr(code, "co_exceptiontable", b""))
        self._sources: dict[int, list[int]] | None = None
        self._covered: dict[int, list[tuple[int, int]]] | None = None
        self._depths: list[int] | None = None
        self._lines: tuple[list[int], list[int | None]] | None = None
        #: For each position, how many jumps and exception handlers lead there; at most 255.
        self.entered = bytearray(len(self.opcodes) + 1)
        entered = self.entered
        for found in _FIND_JUMPS.finditer(self.opcodes):
            target = self.target(found.start())
            if entered[target] < 255:
                entered[target] += 1
        for _, handler in self.entries:
            if entered[handler.target] < 255:
                entered[handler.target] += 1

    def _read_handlers(self, table: bytes) -> None:
        """Read an exception table (CPython's Objects/exception_handling_notes.txt)."""
        numbers: list[int] = []
        value = 0
        for byte in table:
            value = value << 6 | byte & 63
            if not byte & 64:
                numbers.append(value)
                value = 0
        self.starts = numbers[::4]
        fields = zip(self.starts, numbers[1::4], numbers[2::4], numbers[3::4], strict=True)
        self.entries = [(start + size, Handler(to, depth >> 1, bool(depth & 1))) for start, size, to, depth in fields]

    # Instructions -------------------------------------------------------------------------------------------------

    def argument(self, index: int) -> int:
        """The argument of an instruction, with those of its EXTENDED_ARGs."""
        argument = self.arguments[index]
        shift = 8
        while index and self.opcodes[index - 1] == _EXTENDED_ARG:
            index -= 1
            argument |= self.arguments[index] << shift
            shift += 8
        return argument

    def instruction(self, position: int) -> int:
        """The instruction at a position, or after the EXTENDED_ARGs that begin there."""
        while self.opcodes[position] == _EXTENDED_ARG:
            position += 1
        return position

    def after(self, index: int) -> int:
        """The instruction after another."""
        return self.instruction(index + SIZES[self.opcodes[index]])

    def before(self, index: int) -> int:
        """The instruction before another; -1 for the first."""
        index -= 1  # inline caches are zeros
        while index >= 0 and self.opcodes[index] in (_EXTENDED_ARG, _CACHE):
            index -= 1
        return index

    def is_extended(self, index: int) -> bool:
        """True if an instruction has an EXTENDED_ARG."""
        return index > 0 and self.opcodes[index - 1] == _EXTENDED_ARG

    def target(self, index: int) -> int:
        """The instruction that a jump leads to."""
        opcode, argument = self.opcodes[index], self.argument(index)
        if opcode in _ABSOLUTE:
            return self.instruction(argument)
        return self.instruction(index + SIZES[opcode] + (-argument if opcode in _BACKWARD else argument))

    def handler(self, index: int) -> tuple[Handler | None, int]:
        """The handler of exceptions that an instruction raises, or None; and the end of the range that it covers."""
        at = bisect.bisect_right(self.starts, index)
        if at and index < self.entries[at - 1][0]:
            return self.entries[at - 1][1], self.entries[at - 1][0]
        return None, self.starts[at] if at < len(self.starts) else len(self.opcodes)

    def line(self, index: int) -> int | None:
        """The line that a traceback shows for an instruction, or None."""
        if self._lines is None:
            spans = list(self.code.co_lines())
            self._lines = [start for start, _, _ in spans], [line for _, _, line in spans]
        starts, lines = self._lines
        return lines[bisect.bisect_right(starts, 2 * index) - 1]

    # The stack ----------------------------------------------------------------------------------------------------

    def depths(self) -> list[int]:
        """The depth of the stack before each position, in slots; -1 for positions that are not reached.

        The count is the compiler's (CPython's Python/flowgraph.c, calculate_stackdepth()).
        """
        if self._depths is None:
            self._depths = [-1] * len(self.opcodes)
            paths = [(0, 1 if self.opcodes[0] == _GEN_START else 0)]
            while paths:
                self._follow(*paths.pop(), self._depths, paths)
        return self._depths

    def _follow(self, index: int, depth: int, depths: list[int], paths: list[tuple[int, int]]) -> None:
        opcodes = self.opcodes
        until = -1
        index = self.instruction(index)
        while depths[index] < depth:
            depths[index] = depth
            opcode, argument = opcodes[index], self.argument(index)
            if index >= until:
                handler, until = self.handler(index)
                if handler:
                    paths.append((handler.target, handler.depth + handler.lasti + 1))
            if opcode in _JUMPS:
                paths.append((self.target(index), depth + effect(opcode, argument, jump=True)))
            if opcode in _LEAVES:
                return
            depth += effect(opcode, argument)
            index = self.after(index)

    def stack_size(self) -> int:
        """The largest depth of the stack, in slots."""
        opcodes = self.opcodes
        return max(
            max(depth, depth + effect(opcodes[index], self.argument(index)))
            for index, depth in enumerate(self.depths())
            if depth >= 0
        )

    # The proof ----------------------------------------------------------------------------------------------------

    def call_of(self, load: int) -> Call | None:
        """Find the call of the callable that the instruction at ``load`` pushes.

        It is found only if three statements about the control flow are proved:

        * each path from the load reaches the call, unless the path ends in an exception;
        * each path to the call has passed the load since it last passed the call;
        * no instruction between them reaches the slots that the load filled.

        So the call calls the loaded callable, and its result is the result of that callable.

        Args:
            load: the position of an instruction.

        Returns:
            The call; None if the instruction is not a LOAD_GLOBAL of a callable, or the proof fails.
        """
        if self.opcodes[load] != LOAD_GLOBAL or effect(LOAD_GLOBAL, self.argument(load)) != CALLABLE_SLOTS:
            return None
        return _Expression(self, load).call()

    def covered(self, index: int) -> list[tuple[int, int]]:
        """The ranges, (start, end), of which the handler begins at an instruction."""
        if self._covered is None:
            self._covered = {}
            for start, (end, handler) in zip(self.starts, self.entries, strict=True):
                self._covered.setdefault(handler.target, []).append((start, end))
        return self._covered.get(index, [])

    def sources(self, index: int) -> list[int]:
        """The jumps that lead to an instruction."""
        if self._sources is None:
            self._sources = {}
            for found in _FIND_JUMPS.finditer(self.opcodes):
                self._sources.setdefault(self.target(found.start()), []).append(found.start())
        return self._sources.get(index, [])


_CACHE = dis.opmap.get("CACHE", -1)
_GEN_START = dis.opmap.get("GEN_START", -1)


class _Expression:
    """The instructions that can run between the load of a callable and its call.

    Heights of the stack are counted from the slot below the callable.
    """

    def __init__(self, code: Code, load: int) -> None:
        self._code = code
        self._load = load
        self._handler, _ = code.handler(load)
        self._heights: dict[int, int] = {}
        self._paths = [(code.after(load), CALLABLE_SLOTS)]
        self._call = -1
        self._straight = True  # no jump, and no handler but the load's
        self._simple = True  # Call.simple

    def call(self) -> Call | None:
        """The call, or None if the proof fails: Code.call_of()."""
        while self._paths:
            if not self._walk(*self._paths.pop()):
                return None
        if self._call < 0 or not self._is_closed():
            return None
        code, call = self._code, self._call
        keywords = code.opcodes[call] == _CALL_KW or (
            _KW_NAMES is not None and code.opcodes[code.before(call)] == _KW_NAMES
        )
        last = code.after(call) if code.opcodes[call] == _PRECALL else call
        return Call(call, last, code.after(last), keywords, self._simple)

    def _walk(self, index: int, height: int) -> bool:
        """Follow one path to its end, or to an instruction that was walked before. False if the proof fails."""
        code, heights = self._code, self._heights
        opcodes = code.opcodes
        until, least = -1, 0
        while index not in heights:
            opcode, argument = opcodes[index], code.argument(index)
            if opcode in _CALLS and height == CALLABLE_SLOTS + argument + (opcode == _CALL_KW):
                if self._call in (-1, index):
                    self._call = index
                    return True
                return False
            if opcode == _KW_NAMES and opcodes[code.after(index)] != CALL:
                return False
            reach, added = _reach_and_effect.get(opcode | argument << 8) or _measure(opcode, argument)
            if index >= until:
                handler, until = code.handler(index)
                least = self._leave(handler)
            if height - reach < CALLABLE_SLOTS or height < least:
                return False
            heights[index] = height
            if opcode in _JUMPS:
                self._straight = False
                self._paths.append((code.target(index), height + effect(opcode, argument, jump=True)))
            if opcode in _LEAVES:
                return True
            height += added
            index = code.after(index)
        return heights[index] == height

    def _leave(self, handler: Handler | None) -> int:
        """Add the path of an exception. Returns the height of the stack that its handler keeps.

        The load's own handler keeps nothing that was loaded, and neither does an exception without a handler: 0.
        """
        if handler is None or handler == self._handler:
            return 0
        self._straight = self._simple = False
        kept = handler.depth - self._code.depths()[self._load]
        if kept < CALLABLE_SLOTS:
            return sys.maxsize
        self._paths.append((handler.target, kept + handler.lasti + 1))
        return kept

    def _is_closed(self) -> bool:
        """True if only the load and walked instructions lead to the walked instructions and to the call."""
        code, load, call = self._code, self._load, self._call
        if self._straight and not any(code.entered[load + 1 : call + 1]):
            return True
        if load in self._heights or call in self._heights:
            return False
        for index in (*self._heights, call):
            before = code.before(index)
            if before != load and before not in self._heights and (before < 0 or code.opcodes[before] not in _LEAVES):
                return False
            if not all(source in self._heights for source in code.sources(index)):
                return False
        return all(self._is_within(*span) for index in self._heights for span in code.covered(index))

    def _is_within(self, start: int, end: int) -> bool:
        """True if all instructions of a range were walked."""
        index = self._code.instruction(start)
        while index < end:
            if index not in self._heights:
                return False
            index = self._code.after(index)
        return True


_PRECALL = dis.opmap.get("PRECALL", -1)
_CALLS = {CALL, _CALL_KW}
