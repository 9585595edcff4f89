from types import CodeType, ModuleType

__all__ = ["as_kind", "kind_of", "rewriting", "with_blocks"]

# One module in plain Python, two with the engine.
rewriting: ModuleType
with_blocks: ModuleType

def kind_of(code: CodeType) -> int: ...
def as_kind(code: CodeType, kind: int) -> CodeType: ...
