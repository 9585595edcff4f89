from ._event_loops import (
    EventLoop,
    Watch,
    checkpoint,
    register_event_loop,
    shielded,
    sleep,
    use_event_loop,
    wait_readable,
    wait_writable,
)

__all__ = [
    "EventLoop",
    "Watch",
    "checkpoint",
    "get_cmake_dir",
    "get_include",
    "register_event_loop",
    "shielded",
    "sleep",
    "use_event_loop",
    "wait_readable",
    "wait_writable",
]

def get_include() -> str: ...
def get_cmake_dir() -> str: ...
