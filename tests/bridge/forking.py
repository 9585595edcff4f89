"""A fork of this process, where what belongs to a loop of the parent must be refused."""

import asyncio
import os
import warnings


def assert_refused_in_a_child(begin):
    """`begin()` makes the coroutine that the child runs; it has to raise a RuntimeError that tells of the fork."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: fork() in a process with threads
        child = os.fork()
    if child == 0:
        status = 1
        try:
            asyncio.run(begin())
        except RuntimeError as error:
            status = 0 if "forked" in str(error) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
