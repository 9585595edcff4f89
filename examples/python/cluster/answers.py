"""The generator that the other programs of this folder serve, each in its own way; docs/howto/cluster.md shows them all."""

# [generator]
import asyncio

from async_generator import async_generator

closed = 0


@async_generator(isolated=True)
async def answer(question):
    global closed
    try:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))  # what keeps a connection alive, say
            for word in question.split():
                await asyncio.sleep(0.01)  # the model
                yield word
    finally:
        await asyncio.sleep(0)  # returns a connection to its pool, say
        closed += 1


# [/generator]
