"""CPU of the client per row: agen_postgresql against asyncpg and psycopg, the same query and values.

  compare.py FOLDER [--rows N] [--json FILE]      FOLDER holds the compiled module

Starts a server of its own (Debian: postgresql), whose CPU is in no figure. Each case is the best of five runs.
"""

import argparse
import asyncio
import json
import sys
import time
from functools import partial
from pathlib import Path

from server import server, text

SQL = "select n, n::int8 * 1000, n / 8.0::float8, 'row ' || n from generate_series(1, {rows}) n"


class Clock:
    """CPU and wall time after the first row: connecting and planning are not in it."""

    def __init__(self, count):
        self.count = count
        self.seen = 0

    def row(self, row):
        number, _, _, _ = row
        if not self.seen:
            self.cpu, self.wall = time.process_time(), time.monotonic()
        self.seen += 1
        assert number == self.seen
        if number == self.count:
            self.cpu, self.wall = time.process_time() - self.cpu, time.monotonic() - self.wall


async def agen(settings, sql, clock):
    import agen_postgresql

    connection = await agen_postgresql.connect(text(settings))
    async for row in connection.rows(sql):
        clock.row(row)


async def agen_batches(settings, sql, clock):
    import agen_postgresql

    connection = await agen_postgresql.connect(text(settings))
    async for batch in connection.rows(sql).batches(64):
        for row in batch:
            clock.row(row)


async def by_asyncpg(prefetch, settings, sql, clock):
    import asyncpg

    connection = await asyncpg.connect(host=settings["host"], user=settings["user"], database=settings["dbname"])
    async with connection.transaction():
        async for row in connection.cursor(sql, prefetch=prefetch):
            clock.row(row)
    await connection.close()


async def by_psycopg(size, settings, sql, clock):
    import psycopg

    async with await psycopg.AsyncConnection.connect(text(settings)) as connection:
        async for row in connection.cursor().stream(sql, size=size):
            clock.row(row)


def by_asyncio(function, *arguments):
    asyncio.run(function(*arguments))


def by_uvloop(function, *arguments):
    import uvloop

    uvloop.run(function(*arguments))


def by_trio(function, *arguments):
    import trio

    trio.run(function, *arguments)


CASES = [
    ("agen, asyncio", agen, by_asyncio),
    ("agen, uvloop", agen, by_uvloop),
    ("agen, trio", agen, by_trio),
    ("agen, `batches(64)`, asyncio", agen_batches, by_asyncio),
    ("asyncpg, cursor, asyncio", partial(by_asyncpg, None), by_asyncio),
    ("asyncpg, cursor, `prefetch=1000`, asyncio", partial(by_asyncpg, 1000), by_asyncio),
    ("asyncpg, cursor, `prefetch=1000`, uvloop", partial(by_asyncpg, 1000), by_uvloop),
    ("psycopg, `stream()`, asyncio", partial(by_psycopg, 1), by_asyncio),
    ("psycopg, `stream(size=1000)`, asyncio", partial(by_psycopg, 1000), by_asyncio),
]


def measure(function, run, settings, rows):
    clock = Clock(rows)
    run(function, settings, SQL.format(rows=rows), clock)
    return clock.cpu / rows * 1e6, rows / clock.wall


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    sys.path.insert(0, arguments.folder)
    best = {}
    with server() as settings:
        for _ in range(5):  # in turn, so that what else the machine does is in all of them
            for name, function, run in CASES:
                figures = measure(function, run, settings, arguments.rows)
                best[name] = min(best.get(name, figures), figures)
    print("| client | CPU per row | rows per second |\n|---|--:|--:|")
    for name, (cpu, speed) in best.items():
        print(f"| {name} | {cpu:.2f} µs | {speed:,.0f} |")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({name: cpu for name, (cpu, _) in best.items()}, indent=1))


if __name__ == "__main__":
    main()
