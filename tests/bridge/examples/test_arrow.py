"""The example of record batches: any Arrow C stream, read on a thread, as an async generator on every event loop."""

import gc
import shutil
import subprocess
import time
from pathlib import Path

import async_generator
import extensions
import pytest
from async_generator import aclosing, bridge
from loops import every_loop

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "examples" / "bridge" / "arrow"


@pytest.fixture(scope="module")
def pa():
    return pytest.importorskip("pyarrow", reason="pyarrow has no wheel for this interpreter")


@pytest.fixture(scope="module")
def arrow():
    return extensions.load(FOLDER, "agen_arrow", agen_ROOT=bridge.get_cmake_dir())


@pytest.fixture
def allocated(pa):
    """All memory of Arrow is free again after the test."""
    gc.collect()
    before = pa.total_allocated_bytes()
    yield
    gc.collect()
    end = time.monotonic() + 10
    while pa.total_allocated_bytes() != before:
        assert time.monotonic() < end, "batches were not released"
        time.sleep(0.01)


def table(pa, rows=1000):
    return pa.table({"number": range(rows), "text": [str(i) for i in range(rows)]})


async def collect(stream):
    return [item async for item in stream]


@every_loop
@pytest.mark.usefixtures("allocated")
def test_the_batches_of_a_table_come_unchanged(loop, arrow, pa):
    whole = table(pa)

    async def main():
        reader = whole.to_reader(max_chunksize=64)
        items = await collect(async_generator.stream(arrow.batches(reader)))
        assert pa.Table.from_batches([pa.record_batch(item) for item in items]).equals(whole)
        with pytest.raises(ValueError, match="handed over already"):
            items[0].__arrow_c_array__()

    loop.run(main)


@every_loop
@pytest.mark.usefixtures("allocated")
def test_the_loop_is_free_while_a_batch_is_computed(loop, arrow, pa):
    whole = table(pa, 10)

    def slow():
        for batch in whole.to_batches(max_chunksize=2):
            time.sleep(0.02)
            yield batch

    async def main():
        ticks = 0
        done = False

        async def consumes():
            nonlocal done
            reader = pa.RecordBatchReader.from_batches(whole.schema, slow())
            assert len(await collect(async_generator.stream(arrow.batches(reader)))) == 5
            done = True

        async def counts():
            nonlocal ticks
            while not done:
                ticks += 1
                await loop.sleep(0.001)

        await loop.together(consumes, counts)
        assert ticks > 10

    loop.run(main)


@every_loop
@pytest.mark.usefixtures("allocated")
def test_a_consumer_that_leaves_early_frees_all_batches(loop, arrow, pa):
    async def main():
        reader = table(pa).to_reader(max_chunksize=8)
        async with aclosing(async_generator.stream(arrow.batches(reader))) as stream:
            async for item in stream:
                assert pa.record_batch(item).num_rows == 8
                break

    loop.run(main)


@every_loop
@pytest.mark.usefixtures("allocated")
def test_an_error_of_the_source_comes_after_its_batches(loop, arrow, pa):
    whole = table(pa, 10)

    def fails():
        yield from whole.to_batches(max_chunksize=5)
        raise OSError("the disk is gone")

    async def main():
        reader = pa.RecordBatchReader.from_batches(whole.schema, fails())
        got = []
        with pytest.raises(RuntimeError, match="the disk is gone"):
            async for item in async_generator.stream(arrow.batches(reader)):
                got.append(pa.record_batch(item).num_rows)
        assert got == [5, 5]

    loop.run(main)


@pytest.mark.usefixtures("allocated")
def test_batches_that_nobody_wants_are_released(arrow, pa):
    class Once:
        def __init__(self):
            self.capsule = table(pa).to_reader().__arrow_c_stream__()

        def __arrow_c_stream__(self):
            return self.capsule

    source = arrow.batches(Once())
    source.__agen_stream__()
    with pytest.raises(ValueError, match="taken already"):
        source.__agen_stream__()


def test_what_has_no_arrow_stream_is_refused(arrow):
    with pytest.raises(AttributeError, match="__arrow_c_stream__"):
        async_generator.stream(arrow.batches([]))


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler here (Debian: gcc)")
def test_the_streams_keep_the_rules(tmp_path):
    sources = [FOLDER / "check.c", FOLDER / "arrow.c"]
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-O1", "-fsanitize=thread", "-pthread"]
    include = f"-I{ROOT / 'include'}"
    subprocess.run(["gcc", *flags, include, *sources, "-o", tmp_path / "check"], check=True)
    done = subprocess.run([tmp_path / "check"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
