"""Frameworks that ask inspect what a function is: FastAPI, pytest-asyncio, anyio's pytest plugin, sphinx."""

import os
import subprocess
import sys
import textwrap

import pytest

HERE = os.path.dirname(__file__)


def run_pytest(tmp_path, text, *options):
    (tmp_path / "test_it.py").write_text(textwrap.dedent(text))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([HERE, *filter(None, sys.path)]),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # what is not asked for takes longer to load than the tests take
        "PYTHONMALLOC": "default",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *options, "test_it.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_fastapi_takes_a_generator_function_as_a_dependency(implementation):
    fastapi = pytest.importorskip("fastapi", reason="fastapi has no wheel for this interpreter")
    pytest.importorskip("httpx", reason="httpx has no wheel for this interpreter")
    import warnings

    with warnings.catch_warnings():
        # Of the client's own dependencies.
        warnings.simplefilter("ignore")
        from fastapi.testclient import TestClient

    log = []

    @implementation
    async def connection(name: str = "default"):
        log.append("open")
        try:
            yield "connection to " + name
        finally:
            log.append("close")

    class Service:
        @implementation
        async def session(self, number: int):
            log.append("session")
            yield number + 1
            log.append("session over")

    application = fastapi.FastAPI()

    @application.get("/")
    async def read(one=fastapi.Depends(connection), two=fastapi.Depends(Service().session)):  # noqa: B008
        log.append("handler")
        return {"one": one, "two": two}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = TestClient(application)
        answer = client.get("/?name=database&number=1")
        refused = client.get("/?number=one")
    assert answer.json() == {"one": "connection to database", "two": 2}
    assert refused.status_code == 422  # the signature was read
    assert log[:5] == ["open", "session", "handler", "session over", "close"]


FIXTURES = """
    import pytest, pytest_asyncio
    from bodies import IMPLEMENTATIONS

    log = []

    {decorator}
    @IMPLEMENTATIONS[{name!r}]
    async def resource():
        log.append("set up")
        yield "resource"
        log.append("torn down")

    {mark}
    async def test_gets_the_item(resource):
        assert resource == "resource"
        assert log == ["set up"]

    def test_was_torn_down():
        assert log == ["set up", "torn down"]
"""


def test_pytest_asyncio_takes_a_generator_function_as_a_fixture(implementation, tmp_path):
    pytest.importorskip("pytest_asyncio", reason="pytest-asyncio has no wheel for this interpreter")
    text = FIXTURES.format(decorator="@pytest_asyncio.fixture", name=implementation.name, mark="@pytest.mark.asyncio")
    options = [
        "-o",
        "asyncio_mode=strict",
        "-o",
        "asyncio_default_fixture_loop_scope=function",
        "-p",
        "pytest_asyncio.plugin",
    ]
    assert "2 passed" in run_pytest(tmp_path, text, *options)


def test_anyios_plugin_takes_a_generator_function_as_a_fixture(implementation, tmp_path):
    pytest.importorskip("anyio", reason="anyio has no wheel for this interpreter")
    text = FIXTURES.replace("import pytest, pytest_asyncio", "import pytest").format(
        decorator="@pytest.fixture", name=implementation.name, mark="@pytest.mark.anyio"
    )
    text += "\n    @pytest.fixture\n    def anyio_backend():\n        return 'asyncio'\n"
    assert "2 passed" in run_pytest(tmp_path, text, "-p", "anyio")


def test_sphinx_documents_it_as_a_function_with_its_signature(tmp_path):
    pytest.importorskip("sphinx", reason="sphinx has no wheel for this interpreter")
    (tmp_path / "documented.py").write_text(
        textwrap.dedent(
            '''
            from async_generator import async_generator, yield_

            @async_generator
            async def numbers(first: int, *, last: int = 5):
                """Counts upwards."""
                await yield_(first)

            class Reader:
                """Reads."""

                @async_generator
                async def lines(self, limit=3):
                    """All lines."""
                    yield 1
            '''
        )
    )
    (tmp_path / "conf.py").write_text("extensions = ['sphinx.ext.autodoc']\nproject = 'x'\n")
    (tmp_path / "index.rst").write_text("X\n=\n\n.. automodule:: documented\n   :members:\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-b", "text", ".", "out"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out" / "index.txt").read_text()
    assert "documented.numbers(first: int, *, last: int = 5)" in text
    assert "Counts upwards." in text
    assert "lines(limit=3)" in text
    assert "All lines." in text


def test_a_debugger_stops_in_the_body(tmp_path, implementation):
    """pdb steps into a body and shows its variables; the stack is body, consumer."""
    (tmp_path / "debugged.py").write_text(
        textwrap.dedent(
            f"""
            import sys
            sys.path[:0] = {[HERE, *sys.path]!r}
            from bodies import IMPLEMENTATIONS
            from driving import run

            @IMPLEMENTATIONS[{implementation.name!r}]
            async def body():
                secret = 41
                yield secret + 1

            async def consumer():
                async for item in body():
                    print("item", item)

            run(consumer())
            """
        )
    )
    commands = "b 10\nc\np 'secret is', secret\nw\nc\nq\n"
    done = subprocess.run(
        [sys.executable, "-m", "pdb", "debugged.py"],
        cwd=tmp_path,
        input=commands,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "('secret is', 41)" in done.stdout, done.stdout
    assert "item 42" in done.stdout
    stack = [line for line in done.stdout.splitlines() if "debugged.py(" in line]
    assert any("body()" in line for line in stack) and any("consumer()" in line for line in stack)
