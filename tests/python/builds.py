"""What kind of interpreter this is, for tests that depend on it."""

import sys
import sysconfig

import pytest

FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
#: For tests that count memory blocks and make functions between two counts.
counts_code = pytest.mark.skipif(
    FREE_THREADED and sys.version_info[:2] == (3, 13),
    reason="3.13 without the GIL keeps all code for ever once a thread was started (its how-to, Immortalization)",
)
