"""A plugin of pytest that makes test failures of what the guard finds, and of generators that a test leaves unclosed.

``pytest -p async_generator.pytest_plugin`` turns it on; where the package is installed, so do the option
``--async-generator-guard`` and the ini value ``async_generator_guard = true``.

While a test runs, the guard's mode is ``"error"`` (``async_generator.guard()``). A finding fails the test also if the body
has swallowed the error. On Python 3.12 and later, native async generators are looked at, too; their findings do not raise,
but fail the test when it has ended. A generator that was first iterated in the test function, and that is neither closed
nor at its end when the test has ended, fails the test; so does one that was dropped unfinished, and left to the event loop.
Of both, only what is in files of the project counts: under pytest's root folder, and not installed.

A test that leaves generators open on purpose says so by the mark ``leaves_generators_open``.
"""

from collections.abc import Generator
from pathlib import Path
from types import AsyncGeneratorType
from typing import Any

import pytest

from . import _guard, _trace
from . import _implementation as _engine

_MARK = "leaves_generators_open"


class _Watch(_trace.Tracer):
    """Knows the generators of one test, and looks at the yields of the native ones."""

    def __init__(self, findings: list[tuple[str, str]]) -> None:
        super().__init__()
        self._findings = findings

    def _yielded(self, known: Any, value: Any) -> None:
        super()._yielded(known, value)
        generator = known.weak()
        # The profile function of 3.10 and 3.11 is called where the frame's stack cannot be seen.
        if _trace._MONITORING and type(generator) is AsyncGeneratorType and isinstance(value, _engine.box_type):
            told = _guard.explain(generator)
            if told is not None and not _guard.is_exempt(told[1].f_back):
                self._findings.append((told[1].f_code.co_filename, told[0]))

    def _span(self, known: Any, name: str, since: int | None, until: int) -> None:
        """Without a timeline, no spans are kept."""


def pytest_configure(config: pytest.Config) -> None:
    try:
        _guard.switch(_guard.switch("error"))  # is there one?
    except RuntimeError as error:
        raise pytest.UsageError(f"async_generator.pytest_plugin: {error}") from None
    config.addinivalue_line("markers", f"{_MARK}: the test may leave async generators unclosed.")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, Any, Any]:
    before = _guard.switch("error")
    try:
        return (yield)
    finally:
        _guard.switch(before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    findings: list[tuple[str, str]] = []
    watch = _Watch(findings)

    def observe(message: str, file: str) -> None:
        findings.append((file, message))

    _guard.observers.append(observe)
    watch.start()
    try:
        result = yield
    except BaseException:
        item.add_report_section("call", "async generators", _told(item, watch, findings))
        raise
    finally:
        watch.stop()
        _guard.observers.remove(observe)
    told = _told(item, watch, findings)
    if told:
        pytest.fail(told, pytrace=False)
    return result


def _told(item: pytest.Item, watch: _Watch, findings: list[tuple[str, str]]) -> str:
    """What is wrong, a paragraph each; empty if nothing is."""
    lines = [message for file, message in findings if _is_of_project(item, file)]
    if item.get_closest_marker(_MARK) is None:
        lines += [
            _unclosed(one)
            for one in watch.unclosed("still open when the test ended")
            if _is_of_project(item, one["file"])
        ]
    return "\n".join(dict.fromkeys(lines))


def _unclosed(one: dict[str, Any]) -> str:
    made = "made" if one["made there"] else "first used"
    times = f" ({one['count']} times)" if one["count"] > 1 else ""
    return (
        f"{one['generator']}() was left unclosed{times}, {made} at {one['file']}:{one['line']} in {one['function']}: "
        f"{one['fate']}. Use `async with aclosing(...)`, or @structured on the function that iterates it"
    )


def _is_of_project(item: pytest.Item, file: str) -> bool:
    path = Path(file)
    return path.is_relative_to(item.config.rootpath) and _INSTALLED.isdisjoint(path.parts)


_INSTALLED = {"site-packages", "dist-packages"}
