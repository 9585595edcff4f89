"""A streaming server with FastAPI: heartbeat, disconnect, timeout and spans. docs/howto/streaming-server.md explains it.

    python examples/python/streaming_server.py

serves three clients of its own, and prints what they get. It needs CPython 3.11 or newer, fastapi, uvicorn, httpx and
opentelemetry-sdk.
"""

# [imports]
import asyncio
import contextlib

import httpx
import uvicorn
from async_generator import async_generator, instrument
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

# [/imports]


# [source]
@async_generator(isolated=True)
async def words(question):
    print(f"asked: {question}")
    try:
        async with asyncio.timeout(1), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))  # what keeps a connection alive, say
            for word in question.split():
                if word == "slow":
                    await asyncio.sleep(0.25)
                elif word == "stuck":
                    await asyncio.sleep(60)
                yield word
    finally:
        await asyncio.sleep(0)  # returns a connection to its pool, say
        print(f"closed: {question}")


# [/source]


# [events]
async def events(stream, heartbeat):
    async with stream:
        try:
            while True:
                word = await stream.anext(timeout=heartbeat, default=None)
                yield ": ping\n\n" if word is None else f"data: {word}\n\n"
        except StopAsyncIteration:
            yield "event: end\n\n"
        except TimeoutError:
            yield "event: timeout\n\n"


# [/events]


# [spans]
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
tracer = provider.get_tracer("streaming-server")

traced = instrument(words, around=lambda call: tracer.start_as_current_span(f"answer {call.args[0]}"))
# [/spans]

# [app]
app = FastAPI()


@app.get("/answer")
async def answer(question: str):
    return StreamingResponse(events(traced(question), heartbeat=0.1), media_type="text/event-stream")


# [/app]


# [serve]
@contextlib.asynccontextmanager
async def served():
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        yield client
    server.should_exit = True
    await serving


async def show(client, question, leave_after=None):
    before = ""
    async with client.stream("GET", "/answer", params={"question": question}) as response:
        async for line in response.aiter_lines():
            if line and line != before:  # of several pings one
                print("   ", line)
                before = line
            if line == leave_after:
                break
    while f"answer {question}" not in [span.name for span in spans.get_finished_spans()]:
        await asyncio.sleep(0.01)


async def main():
    async with served() as client:
        await show(client, "a slow answer")
        await show(client, "gone before it is stuck", leave_after="data: before")
        await show(client, "it is stuck")
    print([span.name for span in spans.get_finished_spans()])


# [/serve]


# [run]
if __name__ == "__main__":
    asyncio.run(main())
# [/run]
