"""What a measurement was made on, and by which command: stands beside its figures."""

from __future__ import annotations

import os
import platform
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def describe() -> dict[str, str]:
    """The machine in one line, and this process's command as a person types it in the project's folder."""
    found = re.search(r"^model name\s*:\s*(.+)$", _read("/proc/cpuinfo"), re.M)
    processor = found[1] if found else platform.processor() or platform.machine()
    system = (
        f"{platform.system()} {platform.release().split('-')[0]}, {platform.libc_ver()[0]} {platform.libc_ver()[1]}"
    )
    words = [str(Path(word).relative_to(ROOT)) if word.startswith(str(ROOT)) else word for word in sys.argv]
    script = Path(sys.argv[0]).resolve()
    words[0] = str(script.relative_to(ROOT)) if script.is_relative_to(ROOT) else script.name
    return {"machine": f"{processor}, {os.cpu_count()} cores, {system}", "command": " ".join(words)}


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
