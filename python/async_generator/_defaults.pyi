from typing import Any

class Defaults(tuple[Any, ...]):
    def __new__(cls, function: Any, count: int) -> Any: ...

class KeywordDefaults(dict[str, Any]):
    def __init__(self, function: Any, names: list[str]) -> None: ...
