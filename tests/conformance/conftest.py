"""The table's modules, and those of tests/python that they build on, can be imported."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent / "python"))
