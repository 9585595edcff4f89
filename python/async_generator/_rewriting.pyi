from types import CodeType
from typing import Any

disabled: str | None

def rewrite(code: CodeType, namespace: dict[str, Any]) -> tuple[CodeType, tuple[Any, ...], int]: ...
def yielding(code: CodeType) -> CodeType: ...
