"""httpx: a response whose lines are left by `break` or `return`. Its generators are three deep."""

import asyncio
import sys

import httpx
from async_generator import structured


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(5):
        await send({"type": "http.response.body", "body": b"line %d\n" % number, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def first_line(client):
    async with client.stream("GET", "http://server/") as response:
        async for line in response.aiter_lines():
            return line


def left_to_the_loop(use):
    """Runs a use of a client; returns the generators that the event loop had to close."""
    left = []

    async def main():
        hooks = sys.get_asyncgen_hooks()

        def finalizer(generator):
            left.append(generator.__qualname__)
            hooks.finalizer(generator)

        sys.set_asyncgen_hooks(hooks.firstiter, finalizer)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            assert await use(client) == "line 0"

    asyncio.run(main())
    return left


def test_native():
    assert "Response.aiter_lines" in left_to_the_loop(first_line)


def test_structured():
    assert left_to_the_loop(structured(first_line)) == []
