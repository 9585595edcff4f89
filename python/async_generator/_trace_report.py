"""What the tracer reports, when, and to whom: at the program's end, on SIGTERM, and while it runs on SIGUSR1."""

import atexit
import json
import os
import signal
import sys
import sysconfig
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

#: The exit status of a program that succeeded and left generators open, with ``--check``.
LEFT_OPEN = 3
#: The environment variable that has the options for processes that a traced one starts.
CHILDREN = "ASYNC_GENERATOR_TRACE"
# Python imports `sitecustomize` from there in those processes.
_CHILDREN_PATH = str(Path(__file__).parent / "_traced")


@dataclass(frozen=True)
class Options:
    """The command line's choices.

    Args:
        out: the file for the timeline; None for one in the current folder that is named after the program.
        as_json: report in JSON, a line a report.
        mine: report only the generators that code outside the standard library and installed packages has made.
        check: end with the exit status LEFT_OPEN if the program succeeded, and the report names a generator.
        children: trace the Python processes that the program starts, too.
    """

    out: Path | None = None
    as_json: bool = False
    mine: bool = False
    check: bool = False
    children: bool = False


class Report:
    """Reports on a tracer's generators, on standard error.

    Args:
        tracer: the tracer, which is started after install().
        path: the file for the timeline.
        options: the command line's choices.
        child: the process was started by a traced one, and its lines say which it is.
    """

    def __init__(self, tracer: Any, path: Path, options: Options, *, child: bool = False) -> None:
        self.tracer = tracer
        self.path = path.absolute()
        self.options = options
        self.succeeded = False
        self._prefix = f"async_generator[{os.getpid()}]" if child else "async_generator"

    def install(self) -> None:
        """Report at the end of the program, and on signals that the program has not taken for itself."""
        atexit.register(self._at_end)  # registered first, and so called last
        if threading.current_thread() is threading.main_thread():
            self._on_signal("SIGTERM", self._terminated)
            self._on_signal("SIGUSR1", self._asked)
        if self.options.children:
            self._trace_children()

    @staticmethod
    def _on_signal(name: str, handler: Any) -> None:
        number = getattr(signal, name, None)  # Windows has no SIGUSR1
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, handler)

    def _trace_children(self) -> None:
        told = {**asdict(self.options), "out": str(self.path)}
        os.environ[CHILDREN] = json.dumps(told)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_CHILDREN_PATH, os.environ.get("PYTHONPATH")]))

    # When ------------------------------------------------------------------------------------------------------------

    def _at_end(self) -> None:
        left_open = self._finish()
        if left_open and self.options.check and self.succeeded:
            # Only so can the status still change. What else the interpreter does at its end is given up.
            if "logging" in sys.modules:
                sys.modules["logging"].shutdown()
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(LEFT_OPEN)

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        """SIGTERM ends the program, as it would without the tracer."""
        self._finish()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _asked(self, number: int, frame: FrameType | None) -> None:
        """SIGUSR1 asks what is open now. The program goes on."""
        if self.tracer.process == os.getpid():
            self._tell(self.tracer.unclosed("open now"), so_far=True)

    def _finish(self) -> bool:
        """Stop the tracer, write the timeline, and report; true if a generator was named."""
        if self.tracer.process != os.getpid():
            return False  # a forked copy: the original process reports
        self.tracer.stop()
        unclosed = self.tracer.unclosed()
        try:
            self.path.write_text(json.dumps(self.tracer.timeline()))
            written, wrong = str(self.path), ""
        except OSError as error:
            written, wrong = "", str(error)
        return self._tell(unclosed, written=written, wrong=wrong)

    # What ------------------------------------------------------------------------------------------------------------

    def _tell(
        self, unclosed: list[dict[str, Any]], *, written: str = "", wrong: str = "", so_far: bool = False
    ) -> bool:
        named = [one for one in unclosed if not self.options.mine or _is_mine(one["file"])]
        seconds = (time.perf_counter_ns() - self.tracer.began) / 1e9
        if self.options.as_json:
            told = {
                "generators": self.tracer.begun,
                "items": self.tracer.items,
                "seconds": seconds,
                "not closed": named,
                "timeline": written or None,
                **({"so far": True} if so_far else {}),
            }
            _write(json.dumps(told) + "\n")
            return bool(named)
        begun = f"{_count(self.tracer.begun, 'async generator')}, {_count(self.tracer.items, 'item')}, {seconds:.3f} s"
        lines = [begun + (" so far" if so_far else "")]
        if named:
            lines.append(f"{sum(one['count'] for one in named)} not closed by the program:")
            lines += [f"  {_line(one)}" for one in named]
        else:
            lines.append("none is open" if so_far else "all were closed, or ran to their end")
        if others := sum(one["count"] for one in unclosed) - sum(one["count"] for one in named):
            lines.append(f"{others} more in libraries, which --mine leaves out")
        if not so_far:
            lines += self._about_timeline(written, wrong)
        _write("".join(f"{self._prefix}: {line}\n" for line in lines))
        return bool(named)

    def _about_timeline(self, written: str, wrong: str) -> list[str]:
        if not written:
            return [f"no timeline: {wrong}"]
        lines = [f"timeline: {written} (open it at https://ui.perfetto.dev or chrome://tracing)"]
        if self.tracer.dropped_spans:
            most, more = self.tracer.most_spans, self.tracer.dropped_spans
            lines.append(f"the timeline has the first {most:,} spans; {more:,} more were left out")
        return lines


def in_child() -> None:
    """Trace this process, which a traced one has started with ``--children``. Called by ``_traced/sitecustomize.py``."""
    from ._trace import Tracer

    told = json.loads(os.environ[CHILDREN])
    base = Path(told.pop("out"))
    # The environment has what this process hands on already.
    options = Options(**{**told, "check": False, "children": False})
    tracer = Tracer()
    path = base.with_name(f"{base.name.removesuffix('.trace.json')}.{os.getpid()}.trace.json")
    Report(tracer, path, options, child=True).install()
    tracer.start()


def _write(text: str) -> None:
    """Write to standard error past its file object: a signal may have come in the middle of the program's own output, or of
    an earlier report, and a file object refuses to be entered twice."""
    if sys.__stderr__ is None:  # a program without a console
        return
    left = text.encode(sys.__stderr__.encoding, "backslashreplace")
    while left:
        left = left[os.write(sys.__stderr__.fileno(), left) :]


def _is_mine(file: str) -> bool:
    """Whether a file is neither the standard library's nor an installed package's."""
    path = Path(file).absolute()
    if {"site-packages", "dist-packages"} & set(path.parts) or file.startswith("<"):
        return False
    return not any(path.is_relative_to(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + "s" * (number != 1)


def _line(one: dict[str, Any]) -> str:
    times = f"{one['count']} times " if one["count"] > 1 else ""
    made = "made" if one["made there"] else "first used"
    return (
        f"{one['file']}:{one['line']} in {one['function']}: {times}{one['generator']}, {made} there, "
        f"{_count(one['items'], 'item')}: {one['fate']}"
    )
