"""The example over gRPC, end to end, against a C++ server in a process of its own."""

import asyncio
import gc
import json
import shutil
import subprocess
import sys
from pathlib import Path

import extensions
import pytest
from async_generator import aclosing
from loops import three_loops

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "bridge" / "grpc"


@pytest.fixture(scope="module")
def folder():
    pytest.importorskip("nanobind")
    missing = [tool for tool in ("pkg-config", "protoc", "grpc_cpp_plugin") if not shutil.which(tool)]
    if missing or subprocess.run(["pkg-config", "--exists", "grpc++", "protobuf"], check=False).returncode:
        pytest.skip("no gRPC for C++ here (Debian: libgrpc++-dev, libprotobuf-dev, protobuf-compiler-grpc, pkg-config)")
    return extensions.build(EXAMPLE)


@pytest.fixture(scope="module")
def grpc(folder):
    return extensions.load(EXAMPLE, "agen_grpc")


class Server:
    def __init__(self, folder):
        self.process = subprocess.Popen([folder / "server"], stdout=subprocess.PIPE, text=True)
        self.address = f"127.0.0.1:{self.process.stdout.readline().strip()}"

    def said(self):
        """What it says of the next call that ended: "finished" or "cancelled"."""
        return self.process.stdout.readline().strip()

    def die(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server(folder):
    made = Server(folder)
    yield made
    made.die()
    made.process.stdout.close()


@three_loops
def test_tokens_come_in_order(loop, grpc, server):
    async def main():
        return [(token.index, token.text) async for token in grpc.Model(server.address).generate("hello", 3000)]

    assert loop.run(main) == [(i, f"token{i}") for i in range(3000)]
    assert server.said() == "finished"


@three_loops
def test_an_early_exit_cancels_the_call(loop, grpc, server):
    async def main():
        async with aclosing(grpc.Model(server.address).generate("hello")) as stream:
            async for token in stream:
                if token.index == 100:
                    return

    loop.run(main)
    assert server.said() == "cancelled"


@three_loops
def test_cancellation_reaches_the_server(loop, grpc, server):
    async def main():
        stream = grpc.Model(server.address).generate("hello", 0, 20_000)

        async def consumes():
            async for _ in stream:
                pass

        assert await loop.cancel_after(0.2, consumes)
        with pytest.raises(StopAsyncIteration):
            await stream.__anext__()

    loop.run(main)
    assert server.said() == "cancelled"


@three_loops
def test_the_death_of_the_server_is_an_exception(loop, grpc, server):
    async def main():
        with pytest.raises(grpc.RpcError):
            async for token in grpc.Model(server.address).generate("hello", 0, 1000):
                if token.index == 20:
                    server.die()

    loop.run(main)


def test_an_error_of_the_service_comes_with_its_message(grpc, server):
    async def main():
        async for _ in grpc.Model(server.address).generate(""):
            pass

    with pytest.raises(grpc.RpcError, match="the prompt is empty"):
        asyncio.run(main())


def test_a_dropped_stream_is_cancelled(grpc, server):
    async def main():
        async for _ in grpc.Model(server.address).generate("hello"):
            break
        gc.collect()
        await asyncio.sleep(0.01)

    asyncio.run(main())
    assert server.said() == "cancelled"


def test_several_streams_at_once_leave_the_loop_free(grpc, server):
    async def main():
        model = grpc.Model(server.address)
        rounds = 0
        done = asyncio.Event()

        async def ticker():
            nonlocal rounds
            while not done.is_set():
                rounds += 1
                await asyncio.sleep(0.001)

        async def one():
            return len([token async for token in model.generate("hello", 50, 2000)])

        ticks = asyncio.ensure_future(ticker())
        counts = await asyncio.gather(*(one() for _ in range(5)))
        done.set()
        await ticks
        return counts, rounds

    counts, rounds = asyncio.run(main())
    assert counts == [50] * 5
    assert rounds > 10


def test_the_comparison_runs(folder, tmp_path):
    for name in ("trio", "grpc", "google.protobuf"):
        pytest.importorskip(name)
    report = tmp_path / "grpc.json"
    subprocess.run(
        [sys.executable, EXAMPLE / "compare.py", folder, "--json", report],
        check=True,
        timeout=120,
        stdout=subprocess.DEVNULL,
    )
    rows = {row["case"]: row["cpu_us_per_message"] for row in json.loads(report.read_text())["rows"]}
    assert rows["agen, asyncio"] < rows["grpc.aio"] / 2
