"""A progress bar where a person watches, and otherwise nothing."""

import contextlib
import sys


class Silent:
    """Replaces the progress bar when there is no terminal."""

    def add_task(self, description, total):
        return 0

    def advance(self, task, amount=1):
        pass


def watcher():
    """A progress bar on standard error when that is a terminal and rich is installed."""
    if sys.stderr.isatty():
        with contextlib.suppress(ImportError):
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description:32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            return Progress(*columns, console=Console(stderr=True), transient=True)
    return contextlib.nullcontext(Silent())
