"""The words of an answer from a task on a Dask worker, through a queue. Prints what docs/howto/cluster.md says."""

# [task]
import asyncio

import answers
from distributed import Client, LocalCluster, Queue


async def answer(question, name):
    out = Queue(name, maxsize=10)
    count = 0
    async with answers.answer(question) as words:
        async for word in words:
            await out.put(word)
            count += 1
    await out.put(None)
    return count


# [/task]


# [client]
async def main(client):
    words = await Queue("words")
    task = client.submit(answer, "to be or not", "words")
    while (word := await words.get()) is not None:
        print(word)
    print(await task, "words")

    task = client.submit(answer, "to be " * 1000, "words")
    print(await words.get())
    await client.cancel([task], force=True)
    while answers.closed < 2:  # the worker is a thread of this program
        await asyncio.sleep(0.01)
    print("both are closed")


# [/client]


async def run():
    async with (
        LocalCluster(n_workers=1, processes=False, asynchronous=True, dashboard_address=None) as cluster,
        Client(cluster, asynchronous=True) as client,
    ):
        await main(client)


if __name__ == "__main__":
    asyncio.run(run())
