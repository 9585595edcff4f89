"""The first act: a file of JSON lines goes through a TCP server on loopback into load_json_lines and wrap_load_json_lines.

Under asyncio and under trio. Every run is checked by its count and a checksum; the best of the runs is printed.
"""

import asyncio
import contextlib
import json
import random
import socketserver
import sys
import tempfile
import threading
import time
from pathlib import Path

import trio
from async_generator import aclosing
from contenders import NATIVE, modules
from progress import watcher

SEED, PRIME = 20260801, (1 << 61) - 1


# --- the data -----------------------------------------------------------------------------------------------------------


def write_lines(path, count):
    """Writes `count` records, the same ones each time, and returns their checksum."""
    draw = random.Random(SEED)
    checksum = 0
    with open(path, "w") as file:
        for number in range(count):
            record = {
                "id": number,
                "user": f"user{draw.randrange(5000):04}",
                "amount": draw.randrange(1_000_000),
                "tags": draw.sample(["new", "paid", "late", "gift", "test"], 2),
            }
            checksum = mix(checksum, record)
            file.write(json.dumps(record) + "\n")
    return checksum


def mix(checksum, record):
    """A checksum that depends on each record and on their order."""
    return (checksum * 31 + record["id"] ^ record["amount"]) % PRIME


@contextlib.contextmanager
def served(path):
    """A TCP server on loopback that sends the file to each client; gives its address."""

    class SendFile(socketserver.BaseRequestHandler):
        def handle(self):
            # A client may leave early; that is no error of the server.
            with open(path, "rb") as file, contextlib.suppress(ConnectionError):
                self.request.sendfile(file)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), SendFile) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address
        server.shutdown()


# --- the consumer, the same under both event loops -----------------------------------------------------------------------


async def consume(generator, progress):
    count = checksum = 0
    async with aclosing(generator) as records:
        async for record in records:
            checksum = mix(checksum, record)
            count += 1
            if not count % 1000:
                progress(1000)
    progress(count % 1000)
    return count, checksum


async def with_asyncio(address, pipeline, progress):
    reader, writer = await asyncio.open_connection(*address)
    try:
        return await consume(pipeline(reader), progress)
    finally:
        writer.close()
        await writer.wait_closed()


class TrioLines:
    """The lines of a trio stream: a plain object with __aiter__ and __anext__, which yield_from_ takes as well."""

    def __init__(self, stream):
        self._stream = stream
        self._lines = iter(())
        self._rest = b""

    def __aiter__(self):
        return self

    async def __anext__(self):
        for line in self._lines:
            return line
        while data := await self._stream.receive_some(1 << 16):
            *lines, self._rest = (self._rest + data).split(b"\n")
            if lines:
                self._lines = iter(lines)
                return next(self._lines)
        if self._rest:
            rest, self._rest = self._rest, b""
            return rest
        raise StopAsyncIteration


async def with_trio(address, pipeline, progress):
    async with await trio.open_tcp_stream(*address) as stream:
        return await consume(pipeline(TrioLines(stream)), progress)


LOOPS = {
    "asyncio": lambda *arguments: asyncio.run(with_asyncio(*arguments)),
    "trio": lambda *arguments: trio.run(with_trio, *arguments),
}


# --- the act -------------------------------------------------------------------------------------------------------------


def act(count, rounds):
    """Prints items a second. False when a run gave other items."""
    best, right = {}, True
    with tempfile.TemporaryDirectory() as folder, watcher() as bar:
        path = Path(folder, "lines.json")
        expected = count, write_lines(path, count)
        size = path.stat().st_size / 1e6
        contenders = {name: module.wrap_load_json_lines for name, module in modules("json_lines").items()}
        with served(path) as address:
            for loop, run in LOOPS.items():
                tasks = {name: bar.add_task(f"{loop}, {name}", rounds * count) for name in contenders}
                for _ in range(rounds):
                    for name, pipeline in contenders.items():
                        start = time.perf_counter()
                        answer = run(address, pipeline, lambda amount, task=tasks[name]: bar.advance(task, amount))
                        spent = time.perf_counter() - start
                        best[loop, name] = min(best.get((loop, name), spent), spent)
                        if answer != expected:
                            right = False
                            print(f"WRONG: {loop}, {name}: {answer}, not {expected}", file=sys.stderr)
    print(f"\n1. {count:,} JSON lines ({size:.1f} MB) over TCP, through yield_from_")
    for (loop, name), spent in best.items():
        against = best[loop, NATIVE] / spent
        print(f"  {loop:8} {name:22} {count / spent:10,.0f} items/s   {against:.2f} x native")
    if right:
        print(f"  every run gave {expected[0]:,} items with checksum {expected[1]:016x}")
    return right
