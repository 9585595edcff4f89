"""The words of an answer as the stream of a Ray Serve deployment. Prints what docs/howto/cluster.md says."""

# [deployment]
import asyncio

import answers
import ray
from ray import serve


@serve.deployment
class Model:
    async def answer(self, question):
        async with answers.answer(question) as words:
            async for word in words:
                yield word

    async def closed(self):
        return answers.closed


# [/deployment]


# [client]
async def main(handle):
    model = handle.options(stream=True)
    print([word async for word in model.answer.remote("to be or not")])

    stream = model.answer.remote("to be " * 1000)
    print(await anext(stream))
    stream.cancel()
    while await handle.closed.remote() < 2:
        await asyncio.sleep(0.01)
    print("both are closed")


# [/client]


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    asyncio.run(main(serve.run(Model.bind(), route_prefix=None)))
    ray.shutdown()
