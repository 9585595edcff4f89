"""The same as a native generator."""

import asyncio
import contextlib

from cases import NUMBER, PAUSE, reader, scope


async def tokens(case):
    token = reader.set(case) if case == "variable" else None
    try:
        async with scope(case):
            for number in range(NUMBER):
                await asyncio.sleep(PAUSE[case])
                yield f"token {number}"
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)  # gives a connection back, say
        if token:
            reader.reset(token)
        if case == "cleanup":
            raise OSError("the connection could not be given back")
