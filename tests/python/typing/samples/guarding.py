"""The guard's mode is one of three words, and its warning a category."""

import warnings
from typing import Literal

from async_generator import YieldInScopeWarning, guard
from typing_extensions import assert_type

before = guard("warn", exempt=["container.providers"])
assert_type(before, Literal["off", "warn", "error"])
guard(before)
warnings.simplefilter("error", YieldInScopeWarning)
warnings.resetwarnings()
