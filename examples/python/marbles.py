"""Draws what a stream does: a letter is an item, a column 10 ms, | the end and ! an error. The pages on streams use it.

The clock of the event loop is not the wall's: it goes on at once when everything waits for it.
"""

import asyncio

from async_generator import aclosing


def run(main):
    """Runs a coroutine on a loop whose clock goes on at once when all wait for it."""
    loop, now = asyncio.new_event_loop(), 0.0
    select = loop._selector.select

    def skip(timeout):
        nonlocal now
        now += timeout or 0
        return select(0)

    loop._selector.select, loop.time = skip, lambda: now
    try:
        return loop.run_until_complete(main)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def source(marbles, log=print):
    """Yields the letters at their times. Tells if it is closed before its end."""
    over = False
    try:
        for marble in marbles:
            if marble == "!":
                over = True
                raise ValueError("!")
            if marble not in "-|":
                yield marble
            if marble != "|":
                await asyncio.sleep(0.01)
        over = True
    finally:
        if not over and log is not None:
            log(f"closed: {marbles}")


def text(item):
    return item if isinstance(item, str) else "(" + "".join(item) + ")"


def column():
    return round(asyncio.get_running_loop().time() / 0.01)


async def draw(stream, name="yields", working=0.0):
    """Draws what a stream yields to a consumer that works so many seconds on each item."""
    line, end = "", "|"
    try:
        async with aclosing(stream):
            async for item in stream:
                line = line.ljust(column(), "-") + text(item)
                await asyncio.sleep(working)
    except Exception as error:
        end = "!" if isinstance(error, ValueError) else type(error).__name__
    print(name.ljust(8), line.ljust(column(), "-") + end)


def show(make, *marbles, **options):
    """Draws sources, and what a stream makes of them."""
    for one in marbles:
        print("source".ljust(8), one)
    run(draw(make(*[source(one, log=None) for one in marbles]), **options))
