"""The plugin of pytest: it is off unless asked for, and fails tests by what the guard finds and by what they leave open."""

import os
import subprocess
import sys
import textwrap
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytest.importorskip("anyio", reason="anyio is not installed for this interpreter")

HEAD = """\
    import asyncio, contextlib, anyio, pytest
    from async_generator import async_generator, yield_, isolated

    def run(function):
        async def main():
            async for _ in function():
                pass
        asyncio.run(main())

    def run_one(function):
        async def main():
            async for _ in function():
                break
        asyncio.run(main())
"""

# Loading a plugin of others takes longer than a test here.
OTHERS = [f"-pno:{name}" for name in ("anyio", "asyncio", "hypothesispytest", "typeguard")]

NATIVE = pytest.mark.skipif(sys.version_info < (3, 12), reason="the frame cannot be looked at without sys.monitoring")


@pytest.fixture
def run(tmp_path):
    """Runs tests, a text, in a process of their own. Returns the numbers of outcomes, and what was printed."""

    def run(text, *options, head=HEAD, plugin=True, ini="[pytest]\n"):
        (tmp_path / "pytest.ini").write_text(ini)
        file = tmp_path / "test_it.py"
        file.write_text(textwrap.dedent(head) + textwrap.dedent(text))
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rA"]
        command += ["-p", "async_generator.pytest_plugin"] if plugin else OTHERS
        env = {**os.environ, "PYTHONMALLOC": "default"} | ({"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} if plugin else {})
        done = subprocess.run(
            [*command, *options, str(file)], capture_output=True, text=True, cwd=tmp_path, env=env, timeout=120
        )
        outcomes = [line.split()[0] for line in done.stdout.splitlines() if "test_it.py::" in line]
        return {outcome: outcomes.count(outcome) for outcome in outcomes}, done.stdout + done.stderr

    return run


def line_of(text, mark, head=HEAD):
    lines = (textwrap.dedent(head) + textwrap.dedent(text)).splitlines()
    number = next(number for number, line in enumerate(lines, 1) if line.endswith(mark))
    return f"test_it.py:{number}"


def test_a_yield_in_a_scope_fails_the_test_also_if_the_body_swallows_the_error(run):
    text = """
    def test():
        @async_generator
        async def body():
            with anyio.move_on_after(3):  # entered
                try:
                    yield 1  # yields
                except RuntimeError:
                    pass
        run(body)
    """
    outcomes, output = run(text)
    assert outcomes == {"FAILED": 1}
    assert line_of(text, "# entered") in output and line_of(text, "# yields") in output
    assert "isolated=True" in output


@NATIVE
def test_a_native_generator_that_yields_in_a_scope_fails_the_test(run):
    text = """
    async def body():
        with anyio.move_on_after(3):  # entered
            yield 1  # yields

    def test():
        run(body)

    def test_isolated():
        run(lambda: isolated(body()))

    def test_context_manager():
        async def main():
            async with contextlib.asynccontextmanager(body)():
                pass
        asyncio.run(main())
    """
    outcomes, output = run(text)
    assert outcomes == {"FAILED": 1, "PASSED": 2}, output
    assert line_of(text, "# entered") in output and line_of(text, "# yields") in output


@pytest.mark.parametrize("made", ["@async_generator\n    async def", "async def"])
def test_a_generator_that_is_left_unclosed_fails_the_test_and_it_says_where_it_was_made(run, made):
    text = f"""
    {made} body():
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)

    def test_dropped():
        async def main():
            async for _ in body():  # made
                break
        asyncio.run(main())

    def test_held():
        async def main():
            generator = body()
            await generator.__anext__()
            return generator
        kept.append(asyncio.new_event_loop().run_until_complete(main()))

    kept = []

    def test_closed():
        async def main():
            async with contextlib.aclosing(body()) as generator:
                async for _ in generator:
                    break
        asyncio.run(main())

    def test_at_its_end():
        run(body)

    @pytest.mark.leaves_generators_open
    def test_marked():
        run_one(body)
    """
    outcomes, output = run(text, "--strict-markers")
    assert outcomes == {"FAILED": 2, "PASSED": 3}, output
    # Before 3.12, it is not known where native ones are made.
    known = "made" if made.startswith("@") or sys.version_info >= (3, 12) else "first used"
    assert f"body() was left unclosed, {known} at" in output and line_of(text, "# made") in output
    assert "dropped unfinished; left to the event loop to close" in output
    assert "still open when the test ended" in output


def test_a_test_that_fails_by_itself_shows_the_findings_too(run):
    outcomes, output = run(
        """
        def test():
            @async_generator
            async def body():
                with anyio.move_on_after(3):
                    yield 1
            try:
                run(body)
            except RuntimeError:
                pass
            assert 0, "of its own"
        """
    )
    assert outcomes == {"FAILED": 1}
    assert "of its own" in output and "async generators" in output and "isolated=True" in output


def test_fixtures_are_exempt(run):
    outcomes, output = run(
        """
        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.fixture
        async def native():
            async with anyio.create_task_group() as group:
                yield group

        @pytest.fixture
        @async_generator
        async def ours():
            with anyio.move_on_after(3) as scope:
                await yield_(scope)

        @pytest.mark.anyio
        async def test(native, ours):
            assert native and ours
        """,
        "-panyio",
    )
    assert outcomes == {"PASSED": 1}, output


def test_what_is_not_in_the_project_does_not_count(run, tmp_path):
    """A generator that an installed library leaves open is not the project's."""
    folder = tmp_path / "lib" / "site-packages"
    folder.mkdir(parents=True)
    (folder / "library.py").write_text(
        textwrap.dedent(HEAD) + "async def body():\n    yield 1\n    yield 2\n\ndef use():\n    run_one(body)\n"
    )
    outcomes, output = run(
        f"""
        import sys
        sys.path.append({str(folder)!r})
        import library

        def test():
            library.use()
        """
    )
    assert outcomes == {"PASSED": 1}, output


def test_the_mode_is_put_back_after_each_test(run):
    outcomes, output = run(
        """
        from async_generator import guard

        @pytest.mark.parametrize("number", [1, 2])
        def test(number):
            assert guard("off") == "error"
        """
    )
    assert outcomes == {"PASSED": 2}, output


def test_skips_and_expected_failures_are_what_they_were(run):
    outcomes, output = run(
        """
        def test_skipped():
            pytest.skip("because")

        @pytest.mark.xfail
        def test_expected():
            run_one(body)

        async def body():
            yield 1
            yield 2
        """
    )
    assert outcomes == {"XFAIL": 1}, output
    assert "1 skipped, 1 xfailed" in output


LEAVES_OPEN = """
    async def body():
        yield 1
        yield 2

    def test():
        run_one(body)
"""


@pytest.mark.parametrize(
    ("options", "ini", "outcome"),
    [
        ([], "[pytest]\n", "PASSED"),
        (["--async-generator-guard"], "[pytest]\n", "FAILED"),
        ([], "[pytest]\nasync_generator_guard = true\n", "FAILED"),
        (["--async-generator-guard", "-p", "async_generator.pytest_plugin"], "[pytest]\n", "FAILED"),
    ],
)
def test_the_entry_point_is_off_unless_the_option_or_the_ini_value_is_there(run, options, ini, outcome):
    if not any(one.value == "async_generator._pytest_entry" for one in entry_points(group="pytest11")):
        options = ["-p", "async_generator._pytest_entry", *options]  # a build that was not installed
    outcomes, output = run(LEAVES_OPEN, *options, plugin=False, ini=ini)
    assert outcomes == {outcome: 1}, output


def test_pytest_is_told_of_the_entry_point():
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    if not project.is_file():
        pytest.skip("pyproject.toml is not part of this copy of the tests")
    section = project.read_text().partition("[project.entry-points.pytest11]\n")[2].splitlines()[0]
    assert section == 'async_generator = "async_generator._pytest_entry"'
