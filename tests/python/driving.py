"""Driving awaitables by hand, one step at a time, without an event loop."""

import threading
import types

#: More traps than any test has: whoever hands over more of them will not end.
MANY = 100_000


@types.coroutine
def trap(value=None):
    """What an event loop's own awaitables do: hand `value` to the driver, answer what the driver sends."""
    return (yield value)


class Hold:
    """An awaitable that is suspended once and records how it was left."""

    def __init__(self):
        self.seen = []

    def __await__(self):
        try:
            answer = yield self
        except BaseException as error:
            self.seen.append(error)
            raise
        self.seen.append(answer)
        return answer


def run(awaitable, answers=()):
    """Drives `awaitable` to its end and returns its result. Traps are answered from `answers`, then with None."""
    answers = iter(answers)
    iterator = awaitable.__await__()
    send = None
    for _ in range(MANY):
        try:
            iterator.send(send)
        except StopIteration as stop:
            return stop.value
        send = next(answers, None)
    raise AssertionError(f"not at its end after {MANY} traps")


def suspend(awaitable, value=None):
    """Sends once into `awaitable`, which must be suspended by it; returns what it hands to the driver."""
    return awaitable.send(value)


def outcome(call, *arguments):
    """What a call answers, as data that can be compared: ("awaits", value), ("done", value), ("error", type, text)."""
    try:
        value = call(*arguments)
    except StopIteration as stop:
        return ("done", stop.value)
    except BaseException as error:
        return ("error", kind(error), str(error))
    return ("awaits", value)


def kind(error):
    """The name of an exception's class; that of the package's "already running" class counts as native's."""
    if isinstance(error, RuntimeError) and isinstance(error, ValueError):
        return "RuntimeError"
    return type(error).__name__


def collect(generator):
    """All items that are left in `generator`."""

    async def iterate():
        return [item async for item in generator]

    return run(iterate())


def finished(generator):
    """Whether iteration is over: anext answers StopAsyncIteration without an argument."""
    try:
        run(generator.__anext__())
    except StopAsyncIteration as end:
        assert end.args == ()
        return True
    return False


def in_small_thread(call):
    """What `call` answers in a thread with a stack of 256 KB, less than a thousand nested steps take."""
    answers = []
    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=lambda: answers.append(outcome(call)))
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    return answers[0]
