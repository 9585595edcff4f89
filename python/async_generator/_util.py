"""Context managers: the standard library's, under the names of async_generator 1.10."""

from contextlib import aclosing, asynccontextmanager
