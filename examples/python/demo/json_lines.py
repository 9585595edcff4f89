"""The documentation's example: a stream of JSON lines, parsed by one generator and passed through another."""

import json

from async_generator import async_generator, yield_, yield_from_


@async_generator
async def load_json_lines(stream_reader):
    async for line in stream_reader:
        await yield_(json.loads(line))


@async_generator
async def wrap_load_json_lines(stream_reader):
    await yield_from_(load_json_lines(stream_reader))
