"""The clients of the third act, and what they meet."""

import asyncio
import contextlib
import contextvars
import sys

CASES = {
    "slow": "tokens that come more slowly than heartbeats",
    "cleanup": "a client that leaves, and cleanup that fails",
    "variable": "a client that leaves, and a context variable",
    "timeout": "a timeout that expires while the client is slow",
}
if sys.version_info < (3, 11):  # there is no asyncio.timeout()
    del CASES["timeout"]
NUMBER = 5  # tokens
HEARTBEAT = 0.05  # seconds
PAUSE = {"slow": 0.12, "cleanup": 0.01, "variable": 0.01, "timeout": 0.01}  # seconds before each token
TIMEOUT = 0.2  # seconds
STALL = 0.4  # seconds for which the server waits for a client that is slow
LEAVES, LEAVES_AFTER = ("cleanup", "variable"), 2  # clients that leave, after so many tokens

reader = contextvars.ContextVar("reader")


def scope(case):
    """What is held across the yields."""
    return asyncio.timeout(TIMEOUT) if case == "timeout" else contextlib.AsyncExitStack()
