"""The entry point by which pytest finds this package. It is loaded in every run of pytest, and does nothing unless asked.

The option ``--async-generator-guard``, or the ini value ``async_generator_guard``, turns on ``pytest_plugin``.
"""

from typing import Any

_PLUGIN = "async_generator.pytest_plugin"
_HELP = "fail tests in which an async generator yields inside a timeout, a task group or a cancel scope, or is left unclosed"


def pytest_addoption(parser: Any) -> None:
    parser.getgroup("async_generator").addoption("--async-generator-guard", action="store_true", help=_HELP)
    parser.addini("async_generator_guard", _HELP, type="bool", default=False)


def pytest_configure(config: Any) -> None:
    wanted = config.getoption("--async-generator-guard") or config.getini("async_generator_guard")
    if wanted and not config.pluginmanager.has_plugin(_PLUGIN):
        config.pluginmanager.import_plugin(_PLUGIN)
