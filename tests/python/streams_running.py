"""How the tests of the streams run: on each event loop, with nothing left behind."""

import asyncio
import gc

from async_generator import bridge

try:
    import uvloop
except ImportError:
    uvloop = None
try:
    import trio
except ImportError:  # no wheel for this interpreter
    trio = None

LOOPS = ["asyncio", *(["uvloop"] if uvloop else []), *(["trio"] if trio else [])]


async def _checked(function, arguments):
    """Runs a coroutine function on asyncio; no task may be left, and nothing reported."""
    reported = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, said: reported.append(said))
    result = await asyncio.wait_for(function(*arguments), 30)
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()
    await asyncio.sleep(0.001)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert left == set() and reported == []
    return result


async def _checked_by_trio(function, arguments):
    with trio.fail_after(30):
        result = await function(*arguments)
    await trio.testing.wait_all_tasks_blocked()
    root = trio.lowlevel.current_root_task()
    left = [task.name for nursery in root.child_nurseries for task in nursery.child_tasks if "source" in task.name]
    assert left == []
    return result


def run_on(loop, function, *arguments):
    if loop == "trio":
        import trio.testing

        return trio.run(_checked_by_trio, function, arguments)
    if loop == "asyncio":
        return asyncio.run(_checked(function, arguments))
    made = uvloop.new_event_loop()
    try:
        return made.run_until_complete(_checked(function, arguments))
    finally:
        made.run_until_complete(made.shutdown_asyncgens())
        made.close()


class Source:
    """An async generator that keeps a record of itself.

    Args:
        items: what it yields. An exception is raised in place of an item. A float is a wait of so many seconds, and None
            one until the loop comes round.
    """

    def __init__(self, *items, native=True):
        self.items = items
        self.begun = self.asked = self.closed = 0
        self.error = None

    async def _run(self):
        self.begun += 1
        try:
            for item in self.items:
                if item is None:
                    await bridge.checkpoint()
                elif isinstance(item, float):
                    await bridge.sleep(item)
                elif isinstance(item, BaseException):
                    raise item
                else:
                    self.asked += 1
                    yield item
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.closed += 1

    def __aiter__(self):
        self.generator = self._run()
        return self.generator
