"""The choice between the engine and plain Python, and what plain Python does on interpreters that are not here."""

import ast
import importlib.machinery
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import async_generator
import pytest
from async_generator import _plain
from driving import collect, finished, run, trap


def python(code, tmp_path, **env):
    """Runs a program whose `async_generator` is a copy without the engine, in tmp_path."""
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": str(tmp_path), **env},
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout.strip(), done.stderr


@pytest.fixture
def without_engine(tmp_path):
    """A folder with a copy of the package that has no engine."""
    ignored = shutil.ignore_patterns("_engine.*so", "_engine.*pyd", "include", "__pycache__")
    shutil.copytree(Path(async_generator.__file__).parent, tmp_path / "async_generator", ignore=ignored)
    return tmp_path


WHICH = "import async_generator; print(async_generator._implementation.__name__)"


def test_plain_python_runs_where_there_is_no_engine(without_engine):
    assert python(WHICH, without_engine, ASYNC_GENERATOR_ENGINE="") == (0, "async_generator._plain", "")


def test_the_environment_variable_chooses_plain_python(tmp_path):
    assert python(WHICH, tmp_path, ASYNC_GENERATOR_ENGINE="plain") == (0, "async_generator._plain", "")


@pytest.mark.cpython(reason="they do not look for an extension module there")
def test_an_engine_that_cannot_be_loaded_warns_and_gives_way(without_engine):
    engine = without_engine / "async_generator" / f"_engine{importlib.machinery.EXTENSION_SUFFIXES[0]}"
    engine.write_bytes(b"no library")
    status, _, errors = python(WHICH, without_engine, ASYNC_GENERATOR_ENGINE="")
    assert status == 1 and "RuntimeWarning: the engine of async_generator cannot be loaded, so plain Python" in errors


STREAMS = {"stream_source", "stream_queue", "give_up", "PENDING"}  # async_generator.streams is for the engine only


def test_the_streams_say_that_they_need_the_engine(tmp_path):
    status, _, errors = python("import async_generator.streams", tmp_path, ASYNC_GENERATOR_ENGINE="plain")
    assert status == 1 and errors.splitlines()[-1].startswith(
        "ImportError: async_generator.streams needs the package's engine"
    )


def test_plain_python_has_every_name_that_the_package_takes_from_the_engine():
    """By the engine's own stub; the C++ bridge has no part in Python."""
    stub = ast.parse((Path(async_generator.__file__).parent / "_engine.pyi").read_text())
    names = {node.name for node in stub.body if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))}
    names |= {node.target.id for node in stub.body if isinstance(node, ast.AnnAssign)}
    names = {name for name in names if not name.startswith("_")} - {"bridge"} - STREAMS
    assert len(names) > 25
    assert not [name for name in names if not hasattr(_plain, name)]


def test_the_guard_says_that_it_needs_the_engine():
    with pytest.raises(RuntimeError, match=r"guard\(\) needs the engine of async_generator"):
        _plain.set_guard(None, True)
    assert _plain.set_guard(None, False) is None


def test_the_pytest_plugin_says_that_it_needs_the_engine(tmp_path):
    command = (
        "import pytest, sys; sys.exit(pytest.main(['-p', 'async_generator.pytest_plugin', '-p', 'no:cacheprovider']))"
    )
    status, _, errors = python(
        command, tmp_path, ASYNC_GENERATOR_ENGINE="plain", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTHONMALLOC="default"
    )
    assert status == pytest.ExitCode.USAGE_ERROR, errors
    assert "async_generator.pytest_plugin: guard() needs the engine" in errors


# Where frames of native async generators cannot run as those of coroutines ---------------------------------------------


@pytest.fixture
def foreign(monkeypatch):
    """A factory of plain generators as on an interpreter whose code cannot be converted."""
    from async_generator._plain import _factories

    monkeypatch.setattr(_factories, "INTERPRETERS_OWN", False)
    return lambda function: _plain.factory(function, None, None)


def test_a_native_frame_is_driven_by_its_own_operations(foreign):
    @foreign
    async def numbers():
        try:
            got = yield 1
            got = yield (got, await trap("waits"))
            yield got
        finally:
            await trap("cleanup")

    generator = numbers()
    assert run(generator.__anext__()) == 1
    operation = generator.asend("sent")
    assert operation.send(None) == "waits"
    with pytest.raises(StopIteration) as stop:
        operation.send("answer")
    assert stop.value.value == ("sent", "answer")
    assert run(generator.asend(5)) == 5
    closing = generator.aclose()
    assert closing.send(None) == "cleanup"
    with pytest.raises(StopIteration):
        closing.send(None)
    assert finished(generator) and generator.ag_frame is None


def test_exceptions_enter_and_leave_a_native_frame(foreign):
    @foreign
    async def body():
        try:
            yield 1
        except KeyError:
            yield "caught"
        raise LookupError("out")

    generator = body()
    assert run(generator.__anext__()) == 1
    assert run(generator.athrow(KeyError())) == "caught"
    with pytest.raises(LookupError, match="out"):
        run(generator.__anext__())
    assert finished(generator)


def test_a_native_frame_calls_the_hooks_of_its_generator_only(foreign, hooks):
    @foreign
    async def body():
        yield 1

    generator = body()
    assert collect(generator) == [1]
    assert hooks.begun == [generator]
    assert generator.__name__ == "body" and "body" in generator.__qualname__
