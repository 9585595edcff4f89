"""Streams a file of JSON lines through a TCP server on loopback into load_json_lines and wrap_load_json_lines.

Under asyncio and under trio; written with this package, with native generators, and with PyPI's async_generator 1.10 where
AGEN_PEER names the folder that holds it. Every run is checked by its count and a checksum; the best of the runs is printed.
"""

import argparse
import asyncio
import contextlib
import importlib.util
import json
import os
import platform
import random
import socketserver
import sys
import tempfile
import threading
import time
from pathlib import Path

import async_generator
import trio
from async_generator import aclosing

HERE = Path(__file__).parent
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


# --- what is compared ----------------------------------------------------------------------------------------------------


def load(name, file, folder=None, **kwargs):
    """Executes a file as a module with its own name."""
    spec = importlib.util.spec_from_file_location(name, folder / file if folder else HERE / file, **kwargs)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pipelines():
    """{what: wrap_load_json_lines}. The example is executed twice: with this package, and with 1.10 in its place."""
    found = {
        f"async_generator {async_generator.__version__}": load("json_lines", "json_lines.py").wrap_load_json_lines,
        "native": load("json_lines_native", "json_lines_native.py").wrap_load_json_lines,
    }
    folder = Path(os.environ.get("AGEN_PEER") or "absent", "async_generator")
    if folder.exists():
        peer = load("async_generator_1_10", "__init__.py", folder, submodule_search_locations=[str(folder)])
        sys.modules["async_generator"] = peer
        try:
            found["async_generator 1.10"] = load("json_lines_1_10", "json_lines.py").wrap_load_json_lines
        finally:
            sys.modules["async_generator"] = async_generator
    return found


class Silent:
    """Replaces the progress bar when there is no terminal."""

    def add_task(self, description, total):
        return 0

    def advance(self, task, amount):
        pass


def watcher():
    """A progress bar on standard error when that is a terminal and rich is installed."""
    if sys.stderr.isatty():
        with contextlib.suppress(ImportError):
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description:32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            return Progress(*columns, console=Console(stderr=True), transient=True)
    return contextlib.nullcontext(Silent())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, in turn; the best counts")
    arguments = parser.parse_args()
    wrong = 0
    best = {}
    with tempfile.TemporaryDirectory() as folder, watcher() as bar:
        path = Path(folder, "lines.json")
        expected = arguments.lines, write_lines(path, arguments.lines)
        size = path.stat().st_size / 1e6
        contenders = pipelines()
        with served(path) as address:
            for loop, run in LOOPS.items():
                tasks = {
                    name: bar.add_task(f"{loop}, {name}", arguments.rounds * arguments.lines) for name in contenders
                }
                for _ in range(arguments.rounds):
                    for name, pipeline in contenders.items():
                        start = time.perf_counter()
                        answer = run(address, pipeline, lambda amount, task=tasks[name]: bar.advance(task, amount))
                        spent = time.perf_counter() - start
                        best[loop, name] = min(best.get((loop, name), spent), spent)
                        if answer != expected:
                            wrong += 1
                            print(f"WRONG: {loop}, {name}: {answer}, not {expected}", file=sys.stderr)
    print(
        f"{arguments.lines:,} JSON lines ({size:.1f} MB) over TCP, through yield_from_; Python {platform.python_version()}"
    )
    for (loop, name), spent in best.items():
        against = best[loop, "native"] / spent
        print(f"  {loop:8} {name:22} {arguments.lines / spent:10,.0f} items/s   {against:.2f} x native")
    if not wrong:
        print(f"every run gave {expected[0]:,} items with checksum {expected[1]:016x}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
