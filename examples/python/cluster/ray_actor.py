"""The words of an answer as the stream of a Ray actor. Prints what docs/howto/cluster.md says."""

# [actor]
import asyncio

import answers
import ray


@ray.remote
class Model:
    async def answer(self, question):
        async with answers.answer(question) as words:
            async for word in words:
                yield word

    async def closed(self):
        return answers.closed


# [/actor]


# [driver]
async def main():
    model = Model.remote()
    method = model.answer.options(num_returns="streaming")
    print([await word async for word in method.remote("to be or not")])

    stream = method.remote("to be " * 1000)
    print(await (await anext(stream)))
    ray.cancel(stream)
    while await model.closed.remote() < 2:
        await asyncio.sleep(0.01)
    print("both are closed")


# [/driver]


if __name__ == "__main__":
    ray.init(num_cpus=1, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    asyncio.run(main())
    ray.shutdown()
