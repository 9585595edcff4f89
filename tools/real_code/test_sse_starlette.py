"""sse-starlette: a stream with heartbeats, whose source is slower than they are."""

import asyncio

import httpx
from async_generator import async_generator
from sse_starlette import EventSourceResponse

PING, EVENTS = 0.02, 3


async def slow():
    for number in range(EVENTS):
        await asyncio.sleep(4 * PING)
        yield f"event {number}"


isolated_slow = async_generator(isolated=True)(slow)


async def with_wait_for(source):
    """As it is written everywhere: the first heartbeat cancels the source."""
    while True:
        try:
            yield {"data": await asyncio.wait_for(source.__anext__(), PING)}
        except asyncio.TimeoutError:
            yield {"comment": "heartbeat"}
        except StopAsyncIteration:
            return


async def with_patience(source):
    while True:
        try:
            item = await source.anext(timeout=PING, default=None)
        except StopAsyncIteration:
            return
        yield {"comment": "heartbeat"} if item is None else {"data": item}


def received(stream):
    async def app(scope, receive, send):
        await EventSourceResponse(stream)(scope, receive, send)

    async def main():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            return (await asyncio.wait_for(client.get("http://server/"), 30)).text

    return asyncio.run(main())


def test_native():
    text = received(with_wait_for(slow()))
    assert "heartbeat" in text and "event" not in text


def test_isolated():
    text = received(with_patience(isolated_slow()))
    assert "heartbeat" in text and all(f"data: event {number}" in text for number in range(EVENTS))
