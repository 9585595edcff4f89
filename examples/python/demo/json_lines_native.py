"""json_lines.py in native syntax, which has no delegation: each level yields the items of the level below again."""

import json


async def load_json_lines(stream_reader):
    async for line in stream_reader:
        yield json.loads(line)


async def wrap_load_json_lines(stream_reader):
    async for item in load_json_lines(stream_reader):
        yield item
