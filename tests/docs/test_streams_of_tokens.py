"""The streaming server of docs/howto/streaming-server.md with many clients at once."""

import asyncio
import importlib.util
from pathlib import Path

import pytest
from async_generator import async_generator

SERVER = Path(__file__).resolve().parents[2] / "examples" / "python" / "streaming_server.py"
STREAMS = 200


def test_many_streams_with_heartbeats_and_clients_that_leave(monkeypatch):
    for name in ("fastapi", "uvicorn", "opentelemetry.sdk"):
        pytest.importorskip(name)
    httpx = pytest.importorskip("httpx")
    spec = importlib.util.spec_from_file_location("streaming_server", SERVER)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    opened, closed, go_on = 0, 0, None

    @async_generator(isolated=True)
    async def tokens(question):
        nonlocal opened, closed
        opened += 1
        try:
            yield "first"
            if question == "stays":
                await go_on.wait()  # all have had a heartbeat
            else:
                await asyncio.sleep(600)
            for number in range(50):
                yield str(number)
        finally:
            await asyncio.sleep(0)
            closed += 1

    monkeypatch.setattr(program, "traced", tokens)

    async def main():
        nonlocal go_on
        go_on = asyncio.Event()
        beating = 0

        async def consume(client, number):
            nonlocal beating
            got = []
            question = "leaves" if number % 2 else "stays"
            async with client.stream("GET", "/answer", params={"question": question}) as response:
                async for line in response.aiter_lines():
                    if line == ": ping" and ": ping" not in got:
                        beating += 1
                        if beating == STREAMS:
                            go_on.set()
                        if question == "leaves":
                            return None
                    if line and line != ": ping" or line not in got:
                        got.append(line)
            return [line for line in got if line.startswith(("data", "event"))]

        async with program.served() as one:
            limits = httpx.Limits(max_connections=None)
            async with httpx.AsyncClient(base_url=one.base_url, limits=limits, timeout=60, trust_env=False) as client:
                got = await asyncio.gather(*(consume(client, number) for number in range(STREAMS)))
            while closed < STREAMS:  # the server sees by and by who has left
                await asyncio.sleep(0.01)
        return got

    got = asyncio.run(asyncio.wait_for(main(), 120))
    assert opened == closed == STREAMS
    assert got[1::2] == [None] * (STREAMS // 2)
    every = ["data: first", *(f"data: {number}" for number in range(50)), "event: end"]
    assert got[::2] == [every] * (STREAMS // 2)
