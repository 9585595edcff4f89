"""What ``_rewriting`` does for the engine, for plain Python: nothing is rewritten, since it would gain nothing there."""

import dis
from types import CodeType
from typing import Any

from ._boxes import coroutine_code

#: The reason why nothing is rewritten.
disabled = "not for generators in plain Python"
#: The traits of generators whose code has real yields.
YIELDS = 0


def rewrite(code: CodeType, namespace: dict[str, Any]) -> tuple[CodeType, tuple[Any, ...], int]:
    """The code itself, as ``_rewriting.rewrite()`` returns it where there is nothing to rewrite."""
    return code, (), 0


def with_free_variable(code: CodeType, name: str) -> None:
    """None: a decorated function needs code that calls its factory."""


def yielding(code: CodeType) -> CodeType:
    """A copy of the code of a coroutine, whose real yields wrap their items."""
    return coroutine_code(code) or code


async def _native() -> Any:
    yield


def _wraps(code: CodeType) -> set[tuple[str, int]]:
    """The instructions before a yield; on interpreters where a yield wraps the item itself, the yields."""
    instructions = list(dis.get_instructions(code))
    pairs = zip(instructions, instructions[1:], strict=False)
    found = {(one.opname, one.arg or 0) for one, following in pairs if following.opname == "YIELD_VALUE"}
    return {one for one in found if one[0] in ("ASYNC_GEN_WRAP", "CALL_INTRINSIC_1")}


_WRAPS = _wraps(_native.__code__)


def yields_items(code: CodeType) -> bool:
    """Whether ``code`` yields items, as the code of a native async generator does. Awaits also compile to YIELD_VALUE."""
    if _WRAPS:
        return bool(_WRAPS & _wraps(code))
    return any(one.opname == "YIELD_VALUE" for one in dis.get_instructions(code))


def yields_in_with(code: CodeType) -> bool:
    """False: nothing looks at yields here."""
    return False
