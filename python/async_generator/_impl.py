"""Names of async_generator 1.10's private module that other projects are known to read."""
from . import _engine  # noqa
