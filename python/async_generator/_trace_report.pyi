from dataclasses import dataclass
from pathlib import Path
from typing import Any

LEFT_OPEN: int
CHILDREN: str

@dataclass(frozen=True)
class Options:
    out: Path | None = None
    as_json: bool = False
    mine: bool = False
    check: bool = False
    children: bool = False

class Report:
    tracer: Any
    path: Path
    options: Options
    succeeded: bool
    def __init__(self, tracer: Any, path: Path, options: Options, *, child: bool = False) -> None: ...
    def install(self) -> None: ...

def in_child() -> None: ...
