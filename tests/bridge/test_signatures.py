"""What signatures and stubs of bound functions say of generators, any async iterable in and an async generator out, and which
signatures do not compile."""

import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import extensions
import pytest
from async_generator import bridge

FOLDER = Path(__file__).resolve().parent / "arguments"
ITERABLE, GENERATOR = "collections.abc.AsyncIterable", "collections.abc.AsyncGenerator"
SENT = {"arguments_nanobind": "int | None", "arguments_pybind11": "typing.SupportsInt | typing.SupportsIndex | None"}
# An iterator that is no generator, a generator, and what is wrong; [] is a line that has to be an error.
USE = """
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from typing import Annotated
import arguments_nanobind as arguments


class Iterator:
    def __aiter__(self) -> "Iterator":
        return self

    async def __anext__(self) -> str:
        return "item"


class Iterable:
    def __aiter__(self) -> AsyncIterator[str]:
        return Iterator()


async def native() -> AsyncIterator[str]:
    yield "item"


async def numbers() -> AsyncIterator[int]:
    yield 1


async def main() -> None:
    for source in (Iterator(), Iterable(), native(), arguments.taken(native())):
        result: AsyncGenerator[str, None] = arguments.taken(source)
        items: list[str] = [item async for item in result]
        await result.aclose()
    arguments.sent(native())
    arguments.taken(numbers())  # wrong
    arguments.sent(numbers())  # wrong
"""


def test_an_argument_is_an_async_iterable_and_a_result_an_async_generator(arguments):
    said = arguments.taken.__doc__
    assert f"{ITERABLE}[str]" in said.partition("->")[0] and f"-> {GENERATOR}[str, None]" in said
    said = arguments.sent.__doc__
    assert f"typing.Annotated[{ITERABLE}[str], {SENT[arguments.__name__]}]" in said.partition("->")[0]
    assert f"-> {GENERATOR}[str, None]" in said
    assert f"-> {GENERATOR}[str, int | None]" in arguments.echo.__doc__
    assert "-> collections.abc.Coroutine[typing.Any, None, int]" in arguments.task_raises_later.__doc__


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed for this interpreter")
def test_mypy_takes_any_async_iterable_by_the_stub_of_nanobind(tmp_path):
    folder = extensions.build(FOLDER)
    environment = {**os.environ, "PYTHONPATH": str(folder), "MYPYPATH": str(tmp_path)}
    stub = [sys.executable, "-m", "nanobind.stubgen", "-q", "-m", "arguments_nanobind"]
    subprocess.run([*stub, "-o", tmp_path / "arguments_nanobind.pyi"], env=environment, check=True)
    (tmp_path / "use.py").write_text(USE)
    checker = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", tmp_path / "cache"]
    done = subprocess.run(
        [*checker, "arguments_nanobind.pyi", "use.py"], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    wrong = [f"use.py:{number}" for number, line in enumerate(USE.splitlines(), 1) if line.endswith("# wrong")]
    errors = [line.partition(": error:")[0] for line in done.stdout.splitlines() if ": error:" in line]
    assert errors == wrong, done.stdout + done.stderr


REFUSED = {
    "nanobind": """
        #include <agen/nanobind.hpp>
        NB_MODULE(refused, m) {
            m.def("twice", [](agen::async_generator<int> const& source) -> agen::async_generator<int> { co_yield 2; });
        }""",
    "pybind11": """
        #include <agen/pybind11.hpp>
        PYBIND11_MODULE(refused, m) {
            m.def("twice", [](agen::async_generator<int> const& source) -> agen::async_generator<int> { co_yield 2; });
        }""",
}


@pytest.mark.parametrize("tool", REFUSED)
def test_a_reference_to_what_can_be_neither_kept_nor_copied_does_not_compile(tool, tmp_path):
    (tmp_path / "refused.cpp").write_text(REFUSED[tool])
    module = importlib.import_module(tool)
    folders = [
        sysconfig.get_path("include"),
        bridge.get_include(),
        module.include_dir() if tool == "nanobind" else module.get_include(),
    ]
    compiler = [os.environ.get("CXX", "c++"), "-std=c++20", "-fsyntax-only", *(f"-I{folder}" for folder in folders)]
    done = subprocess.run([*compiler, tmp_path / "refused.cpp"], capture_output=True, text=True)
    assert done.returncode != 0 and "Take it by value" in done.stderr, done.stderr
    (tmp_path / "taken.cpp").write_text(REFUSED[tool].replace(" const& source", ""))
    done = subprocess.run([*compiler, tmp_path / "taken.cpp"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
