"""mcp: a client that is entered in one task and left in another, and clients that are left in any order."""

import asyncio
import sys
from pathlib import Path

import pytest
from async_generator import isolated
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

SERVER = StdioServerParameters(command=sys.executable, args=[str(Path(__file__).with_name("mcp_server.py"))])
LIMIT = 60


def native(manager):
    return manager


async def enter(wrap):
    manager = wrap(stdio_client(SERVER))
    return manager, await manager.__aenter__()


async def leave(manager):
    await manager.__aexit__(None, None, None)


async def left_in_another_task(wrap):
    manager, _ = await asyncio.create_task(enter(wrap))
    await asyncio.create_task(leave(manager))


async def left_in_the_order_of_entry(wrap):
    one, _ = await enter(wrap)
    two, _ = await enter(wrap)
    await leave(one)
    await leave(two)


async def session(wrap):
    manager, (read, write) = await asyncio.create_task(enter(wrap))
    around = wrap(ClientSession(read, write))
    client = await around.__aenter__()
    await client.initialize()
    result = await client.call_tool("add", {"a": 1, "b": 2})
    assert result.content[0].text == "3"
    await asyncio.create_task(leave(manager))
    await asyncio.create_task(leave(around))


USES = [left_in_another_task, left_in_the_order_of_entry, session]


@pytest.mark.parametrize("use", USES)
def test_isolated(use):
    async def main():
        await asyncio.wait_for(use(isolated), LIMIT)
        for _ in range(5):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


@pytest.mark.parametrize("use", USES[:2])
def test_native(use):
    with pytest.raises(BaseException) as caught:
        asyncio.run(asyncio.wait_for(use(native), LIMIT))
    told, error = [], caught.value
    while error is not None:
        told.append(str(error))
        error = error.__context__
    assert any("cancel scope" in text for text in told), told
