"""Makes the long description of the distribution: README.md, without links that lead nowhere outside the repository.

A provider of metadata for scikit-build-core; pyproject.toml names it, and gives `base`, the address below which the files
of the repository are found. While there is none, a link to a file becomes its text, and a picture is left out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PICTURE = re.compile(r"<picture>.*?</picture>\n*", re.DOTALL)
SOURCE = re.compile(r'\b(src|srcset)="(?![a-z]+:)([^"]+)"')
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?![a-z]+:|#)([^)\s]+)\)")


def with_absolute_links(text: str, base: str) -> str:
    """The same Markdown, where every link to a file begins with `base`."""
    if not base:
        return LINK.sub(r"\1", PICTURE.sub("", text))
    base = base.rstrip("/")
    return LINK.sub(rf"[\1]({base}/\2)", SOURCE.sub(rf'\1="{base}/\2"', text))


def dynamic_metadata(field: str, settings: dict[str, Any], *_: object) -> dict[str, str]:
    """What scikit-build-core calls for the field `readme`."""
    if field != "readme":
        raise ValueError(f"not for {field}")
    text = Path(settings.get("input", "README.md")).read_text(encoding="utf-8")
    return {"content-type": "text/markdown", "text": with_absolute_links(text, settings.get("base", ""))}
