from types import CodeType, FrameType
from typing import Any, NamedTuple

class Block(NamedTuple):
    line: int
    exit_name: str

class Entered(NamedTuple):
    manager: Any
    line: int

def yields_in_with(code: CodeType) -> bool: ...
def entered_managers(suspended: Any, frame: FrameType) -> list[Entered]: ...
def works() -> bool: ...
