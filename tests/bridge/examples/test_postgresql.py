"""The example over PostgreSQL, end to end, against a server on a socket in a temporary folder."""

import asyncio
import gc
import importlib.util
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import extensions
import pytest
from async_generator import aclosing
from loops import three_loops

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "bridge" / "postgresql"


@pytest.fixture(scope="module")
def pg():
    pytest.importorskip("nanobind")
    if not shutil.which("pkg-config") or subprocess.run(["pkg-config", "--exists", "libpq"], check=False).returncode:
        pytest.skip("no libpq here (Debian: libpq-dev, pkg-config)")
    return extensions.load(EXAMPLE, "agen_postgresql")


@pytest.fixture(scope="module")
def settings():
    spec = importlib.util.spec_from_file_location("server", EXAMPLE / "server.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not module.programs():
        pytest.skip("no PostgreSQL server here (Debian: postgresql)")
    with module.server() as settings:
        yield module.text(settings)


async def collect(connection, sql, *parameters):
    return [row async for row in connection.rows(sql, parameters)]


# What only one connection can be told about another.
STATE = "select state, query from pg_stat_activity where pid = $1"


@three_loops
def test_rows_come_in_order_with_their_types(loop, pg, settings):
    async def main():
        connection = await pg.connect(settings)
        rows = await collect(
            connection,
            "select n, n::int8 << 40, n / 2.0::float8, n % 2 = 0, 'text ' || n, nullif(n, 2), n::numeric / 4"
            " from generate_series(1, 3000) n",
        )
        assert rows[:2] == [
            (1, 1 << 40, 0.5, False, "text 1", 1, "0.25000000000000000000"),
            (2, 2 << 40, 1.0, True, "text 2", None, "0.50000000000000000000"),
        ]
        assert [row[0] for row in rows] == list(range(1, 3001))
        assert await collect(connection, "select 'Infinity'::float8, '-0.5'::float4, -7::int2") == [
            (float("inf"), -0.5, -7)
        ]

    loop.run(main)


@three_loops
def test_a_query_greater_than_the_sockets_buffer(loop, pg, settings):
    async def main():
        connection = await pg.connect(settings)
        large = "x" * 20_000_000
        assert await collect(connection, "select length($1::text), $2::int is null", large, None) == [
            (len(large), True)
        ]

    loop.run(main)


@three_loops
def test_an_early_exit_cancels_the_query_and_the_connection_runs_the_next(loop, pg, settings):
    async def main():
        connection, other = await pg.connect(settings), await pg.connect(settings)
        ((pid,),) = await collect(connection, "select pg_backend_pid()")
        begun = time.monotonic()
        # A row, and then a minute.
        sql = "select n, case when n > 10000 then pg_sleep(60)::text end from generate_series(1, 20000) n"
        async with aclosing(connection.rows(sql)) as rows:
            async for n, _ in rows:
                if n == 10:
                    assert await collect(other, STATE, str(pid)) == [("active", sql)]
                    break
        assert await collect(other, STATE, str(pid)) == [("idle", sql)]
        assert time.monotonic() - begun < 30
        assert await collect(connection, "select 1") == [(1,)]

    loop.run(main)


@three_loops
def test_cancelling_a_wait_cancels_the_query_and_the_loop_stays_free_meanwhile(loop, pg, settings):
    async def main():
        connection, other = await pg.connect(settings), await pg.connect(settings)
        ((pid,),) = await collect(connection, "select pg_backend_pid()")
        rows = connection.rows("select pg_sleep(60)")

        async def consumes():
            async for _ in rows:
                raise AssertionError("there is none")

        begun = time.monotonic()
        assert await loop.cancel_after(0.2, consumes)
        assert time.monotonic() - begun < 30
        with pytest.raises(StopAsyncIteration):
            await rows.__anext__()
        assert await collect(other, STATE, str(pid)) == [("idle", "select pg_sleep(60)")]
        assert await collect(connection, "select 1") == [(1,)]

    loop.run(main)


@three_loops
def test_an_error_comes_after_the_rows_before_it_and_the_connection_stays_good(loop, pg, settings):
    async def main():
        connection = await pg.connect(settings)
        got = []
        with pytest.raises(pg.PostgresqlError, match="division by zero"):
            async for (number,) in connection.rows("select 12 / (n - 4) from generate_series(1, 9) n"):
                got.append(number)
        assert got == [-4, -6, -12]
        with pytest.raises(pg.PostgresqlError, match='relation "nowhere" does not exist'):
            await collect(connection, "select * from nowhere")
        assert await collect(connection, "select 1") == [(1,)]
        assert await collect(connection, "set statement_timeout = 0") == []

    loop.run(main)


@three_loops
def test_the_death_of_the_session_is_an_exception(loop, pg, settings):
    async def main():
        connection, other = await pg.connect(settings), await pg.connect(settings)
        ((pid,),) = await collect(connection, "select pg_backend_pid()")
        with pytest.raises(pg.PostgresqlError, match="terminating connection|server closed the connection"):
            async for (n,) in connection.rows("select generate_series(1, 10000000)"):
                if n == 10:
                    assert await collect(other, "select pg_terminate_backend($1)", str(pid)) == [(True,)]
        with pytest.raises(pg.PostgresqlError):
            await collect(connection, "select 1")

    loop.run(main)


def test_one_query_at_a_time(pg, settings):
    async def main():
        connection = await pg.connect(settings)
        async with aclosing(connection.rows("select generate_series(1, 3)")) as rows:
            assert await anext(rows) == (1,)
            with pytest.raises(pg.PostgresqlError, match="runs another query"):
                await collect(connection, "select 1")
            assert [n async for (n,) in rows] == [2, 3]
        connection.close()
        with pytest.raises(pg.PostgresqlError, match="is closed"):
            await collect(connection, "select 1")

    asyncio.run(main())


def test_copy_is_refused(pg, settings):
    async def main():
        connection = await pg.connect(settings)
        with pytest.raises(pg.PostgresqlError, match="COPY is not for rows"):
            await collect(connection, "copy (select 1) to stdout")

    asyncio.run(main())


def test_a_dropped_generator_is_closed_and_the_connection_kept_by_its_rows(pg, settings):
    async def main():
        rows = (await pg.connect(settings)).rows("select generate_series(1, 1000000)")
        gc.collect()
        assert await anext(rows) == (1,)
        connection = await pg.connect(settings)
        async for _ in connection.rows("select generate_series(1, 1000000)"):
            break
        gc.collect()
        while True:  # until the loop has closed it
            try:
                assert await collect(connection, "select 1") == [(1,)]
            except pg.PostgresqlError as busy:
                assert "runs another query" in str(busy)
                await asyncio.sleep(0.001)
            else:
                return

    asyncio.run(main())


def test_a_generator_that_no_loop_closes_closes_the_connection(pg, settings, unraisable):
    async def main():
        connection = await pg.connect(settings)
        rows = connection.rows("select generate_series(1, 1000000)")
        sys.set_asyncgen_hooks(None, None)
        await anext(rows)
        del rows
        gc.collect()
        assert [type(report.exc_value) for report in unraisable] == [RuntimeError], "its cleanup awaits"
        unraisable.clear()  # it refers to the generator
        with pytest.raises(pg.PostgresqlError, match="is closed"):
            await collect(connection, "select 1")

    asyncio.run(main())


@pytest.mark.parametrize("settings", ["host=/nowhere", "no_such_setting=1"])
def test_a_connection_that_cannot_be_made_is_an_exception(pg, settings):
    with pytest.raises(pg.PostgresqlError, match="nowhere|no_such_setting"):
        asyncio.run(pg.connect(settings))


def test_many_queries_at_once_leave_the_loop_free(pg, settings):
    async def main():
        rounds = 0

        async def ticker():
            nonlocal rounds
            while True:
                rounds += 1
                await asyncio.sleep(0.001)

        async def one():
            connection = await pg.connect(settings)
            sql = "select n, pg_sleep(0.001) from generate_series(1, 100) n"
            return [n async for n, _ in connection.rows(sql)] == list(range(1, 101))

        ticks = asyncio.ensure_future(ticker())
        assert all(await asyncio.gather(*(one() for _ in range(10))))
        ticks.cancel()
        return rounds

    assert asyncio.run(main()) > 20


def test_the_comparison_runs(pg, settings, tmp_path):
    for name in ("asyncpg", "psycopg", "uvloop"):
        pytest.importorskip(name)
    report = tmp_path / "postgresql.json"
    folder = str(extensions.build(EXAMPLE))
    subprocess.run(
        [sys.executable, EXAMPLE / "compare.py", folder, "--rows", "20000", "--json", report],
        check=True,
        timeout=120,
        stdout=subprocess.DEVNULL,
    )
    cpu = json.loads(report.read_text())
    assert cpu["agen, asyncio"] < cpu["asyncpg, cursor, asyncio"]
    assert cpu["agen, asyncio"] < cpu["psycopg, `stream()`, asyncio"]
