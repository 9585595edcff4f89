"""Runs every example of docs/api.md, against asyncio streams of a real connection.

Each fenced block of the page carries a comment with its name; `EXAMPLES` says what the block must do. A block without a
name, or a name without a check, is a failure, so that no example can stay unrun.
"""

import ast
import asyncio
import collections.abc
import contextlib
import doctest
import inspect
import io
import json
import re
import sys
from importlib import metadata
from pathlib import Path

import async_generator
import pytest
from async_generator.bridge import get_include

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"^<!-- example: (.+?) -->\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

if not PAGE.exists():
    pytest.skip("docs/api.md is not part of this copy of the tests", allow_module_level=True)

TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = {name: (language, code) for name, language, code in NAMED.findall(TEXT)}

OBJECTS = [{"name": "first", "value": 1}, ["a", "list"], "a string with a ü and a \n newline", 5, None, {}]
LINES = b"".join(json.dumps(thing).encode() + b"\n" for thing in OBJECTS)

EXAMPLES = {}


def example(name):
    def register(check):
        assert name not in EXAMPLES
        EXAMPLES[name] = check
        return check

    return register


@contextlib.asynccontextmanager
async def asyncio_stream():
    """An asyncio.StreamReader on a loopback TCP connection, whose other end sends LINES and closes."""

    async def serve(reader, writer):
        # In pieces that do not end where lines end.
        for start in range(0, len(LINES), 7):
            writer.write(LINES[start : start + 7])
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            yield reader
        finally:
            writer.close()
            await writer.wait_closed()
    finally:
        server.close()
        await server.wait_closed()


def place(code):
    """The block with the line numbers that it has on the page."""
    return "\n" * TEXT[: TEXT.index(code)].count("\n") + code


def run(name, namespace=None):
    """Executes a block of plain definitions; returns its namespace."""
    namespace = {} if namespace is None else namespace
    exec(compile(place(BLOCKS[name][1]), str(PAGE), "exec"), namespace)
    return namespace


async def run_with_await(name, namespace):
    """Executes a block that awaits at its top level, as in a body."""
    code = compile(place(BLOCKS[name][1]), str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, namespace)
    assert inspect.iscoroutine(result), "the block awaits nothing"
    await result


def run_doctest(name, namespace):
    """Runs a block of interactive lines; every line's answer must be the one on the page."""
    test = doctest.DocTestParser().get_doctest(BLOCKS[name][1], namespace, name, str(PAGE), 0)
    assert test.examples
    report = io.StringIO()
    # clear_globs: what one block defines the next may use.
    result = doctest.DocTestRunner(verbose=False).run(test, out=report.write, clear_globs=False)
    assert result.attempted == len(test.examples) and result.failed == 0, report.getvalue()
    namespace.update(test.globs)


async def everything(generator):
    return [item async for item in generator]


def loads_lines(load_json_lines):
    """Whether a `load_json_lines` gives the objects that were sent."""

    async def main():
        async with asyncio_stream() as reader:
            return await everything(load_json_lines(reader))

    return asyncio.run(main()) == OBJECTS


@example("native")
def native():
    function = run("native")["load_json_lines"]
    assert inspect.isasyncgenfunction(function)
    assert loads_lines(function)


@example("decorated")
def decorated():
    function = run("decorated")["load_json_lines"]
    assert async_generator.isasyncgenfunction(function)
    assert loads_lines(function)


@example("yield from")
def yield_from():
    if sys.version_info >= (3, 16):
        pytest.skip("PEP 828: the language has it")
    with pytest.raises(SyntaxError):
        run("yield from")


@example("yield_from_")
def yield_from_():
    for inner in ("native", "decorated"):
        assert loads_lines(run("yield_from_", run(inner))["wrap_load_json_lines"])


@example("return values")
def return_values():
    namespace = run("return values")
    assert asyncio.run(everything(namespace["agen2"]())) == [1, 2]

    async def ends_with(generator):
        with pytest.raises(StopAsyncIteration) as end:
            while True:
                await generator.__anext__()
        return end.value.args

    assert asyncio.run(ends_with(namespace["agen1"]())) == ("great!",)


@example("introspection")
def introspection():
    for inner in ("native", "decorated"):
        introspect(inner, "introspection")


@example("abstract base class")
def abstract_base_class():
    for inner in ("native", "decorated"):
        introspect(inner, "introspection", "abstract base class")


def introspect(inner, *names):
    namespace = run(inner)
    namespace.update(
        isasyncgen=async_generator.isasyncgen,
        isasyncgenfunction=async_generator.isasyncgenfunction,
        collections=collections,
    )

    async def main():
        async with asyncio_stream() as namespace["asyncio_stream_reader"]:
            for name in names:
                run_doctest(name, namespace)
            assert await everything(namespace["gen_object"]) == OBJECTS

    asyncio.run(main())


@example("hooks")
def hooks():
    run_doctest("hooks", {"async_generator": async_generator, "sys": sys})


@example("aclosing")
def aclosing():
    for inner in ("native", "decorated"):
        printed = io.StringIO()

        async def main(namespace, printed):
            async with asyncio_stream() as namespace["asyncio_stream_reader"]:
                with contextlib.redirect_stdout(printed):
                    await run_with_await("aclosing", namespace)
            with pytest.raises(StopAsyncIteration):
                await namespace["agen"].__anext__()

        asyncio.run(main(run(inner), printed))
        assert printed.getvalue() == "".join(f"{thing}\n" for thing in OBJECTS)


def with_body(name):
    """A context manager block whose `...` is replaced by a body that enters and leaves."""
    namespace = {
        "async_generator": async_generator.async_generator,
        "asynccontextmanager": async_generator.asynccontextmanager,
        "yield_": async_generator.yield_,
        "log": [],
    }
    _, code = BLOCKS[name]
    assert code.count("    ...\n") == 1
    body = (
        "    log.append('enter')\n    try:\n        await yield_('value')\n    finally:\n        log.append('exit')\n"
    )
    return code.replace("    ...\n", body), namespace


@example("asynccontextmanager")
def asynccontextmanager():
    code, namespace = with_body("asynccontextmanager")
    exec(code, namespace)
    log = namespace["log"]

    async def main():
        async with namespace["my_async_context_manager"]() as value:
            log.append(value)

    asyncio.run(main())
    assert log == ["enter", "value", "exit"]


@example("asynccontextmanager below")
def asynccontextmanager_below():
    code, namespace = with_body("asynccontextmanager below")

    async def main():
        exec(code, namespace)
        async with namespace["my_async_context_manager"]():
            raise AssertionError("the wrong order worked")

    with pytest.raises(TypeError) as error:
        asyncio.run(main())
    assert "contextmanager" in str(error.value) and "@async_generator" in str(error.value)  # it says what to do
    assert namespace["log"] == []


@example("a manager as decorator")
def manager_as_decorator():
    namespace = {"asynccontextmanager": async_generator.asynccontextmanager}
    exec(BLOCKS["a manager as decorator"][1], namespace)
    printed = io.StringIO()

    async def main():
        async for line in namespace["load_lines"]():
            print(line)

    with contextlib.redirect_stdout(printed):
        asyncio.run(main())
    assert printed.getvalue() == "connect to 80\na line\ndisconnect\n"


def test_every_block_of_the_page_has_a_check():
    assert len(BLOCKS) == len(FENCE.findall(TEXT)) == len(NAMED.findall(TEXT))
    assert set(BLOCKS) == set(EXAMPLES)


@pytest.mark.parametrize("name", BLOCKS)
def test_example(name):
    EXAMPLES[name]()


DOCUMENTED = [
    "async_generator",
    "yield_",
    "yield_from_",
    "isasyncgen",
    "isasyncgenfunction",
    "get_asyncgen_hooks",
    "set_asyncgen_hooks",
    "aclosing",
    "asynccontextmanager",
]


@pytest.mark.parametrize("name", DOCUMENTED)
def test_documented_name_is_on_the_page_and_in_the_package(name):
    assert re.search(rf"\b{name}\b", TEXT)
    assert name in async_generator.__all__ and hasattr(async_generator, name)


def test_version_is_that_of_the_distribution():
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?", async_generator.__version__)
    header = Path(get_include(), "agen", "version.hpp").read_text()
    parts = re.findall(r"^#define AGEN_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)$", header, re.M)
    assert async_generator.__version__ == metadata.version("async_generator") == ".".join(parts)
