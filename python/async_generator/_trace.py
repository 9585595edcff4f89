"""Trace all async generators of a program, native ones too: ``python -m async_generator --trace``.

A firstiter hook, which calls the hook of the event loop, reports each new generator. From then on, ``sys.monitoring``
(from 3.12 on) or a profile function watches its body. A span begins when the body is entered. It ends when the body
hands up an item, delegates, returns or raises. Any other object that the body hands up is an await.

This module keeps no generator alive, and is imported only to trace a program.
"""

import dis
import functools
import importlib.util
import inspect
import itertools
import os
import sys
import threading
import time
import types
import weakref
from collections import Counter
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import async_generator

from . import _implementation as _engine
from ._code import rewriting
from ._trace_report import Options, Report

# The place where a generator was made or, if that is not known, first used: file, line, function.
_Site = tuple[str, int, str]
# Packages that drive coroutines. A generator that one of them closes was not closed by the program.
_LOOPS = {"asyncio", "trio", "anyio", "uvloop", "curio"}
_MONITORING = sys.version_info >= (3, 12)
_DROPPED = "dropped unfinished; nobody awaited its cleanup"
_now = time.perf_counter_ns
# Without an engine, items have two.
_WRAPPERS = (_engine.box_type, getattr(_engine, "own_box_type", _engine.box_type))
_PLAIN = str(Path(__file__).parent / "_plain")
#: The types of the objects that a real yield hands to the engine if the call of an operator was kept.
_KEPT = {"yield_awaitable", "yield_from_awaitable"}


class _Generator:
    """The facts about one generator. Times are in nanoseconds.

    Args:
        number: its number in the report.
        generator: the generator; it is not kept alive.
        parent: the generator that delegates to it, if one does.
    """

    def __init__(self, number: int, generator: Any, parent: "_Generator | None") -> None:
        self.number = number
        self.name: str = generator.__qualname__
        self.code: types.CodeType = generator.ag_code
        self.weak = weakref.ref(generator)
        # The generator that delegates to this one from its first item on, and the time when that began. Of the delegations
        # of this generator: the time when each began, and when it ended.
        self.parent = parent
        self.within = parent.delegating if parent is not None else None
        self.delegations: dict[int | None, int] = {}
        self.site: _Site = ("", 0, "")
        self.exact = True
        self.items = 0
        self.passed = 0  # the items of its delegates
        self.began: int | None = None
        self.ended: int | None = None
        self.end = ""
        self.left = ""  # the reason why it counts as not closed
        # The times since when its body runs, awaits (with a name for the await) and delegates.
        self.running: int | None = None
        self.awaiting: tuple[int, str] | None = None
        self.delegating: int | None = None
        self.spans: list[tuple[str, int, int]] = []

    @property
    def title(self) -> str:
        """The name of its track in the timeline."""
        return f"{self.name} #{self.number}"


class Tracer:
    """Watches all async generators from start() to stop(). A process has at most one tracer at a time."""

    #: The number of spans that go into the timeline; further ones are only counted.
    most_spans = 500_000

    def __init__(self) -> None:
        self.process = os.getpid()
        # All generators that were not closed, and those of the others that have spans in the timeline.
        self.generators: dict[int, _Generator] = {}
        self.begun = self.items = 0
        self.began = self.ended = _now()
        self.spans = itertools.count()
        self.dropped_spans = 0
        # By the address of the body's frame, until the body has ended.
        self._by_frame: dict[int, _Generator] = {}
        self._numbers = itertools.count(1)
        # For each code: the number of native generators that have not begun, by the place where they were made.
        self._made: dict[types.CodeType, Counter[_Site]] = {}
        self._of_thread = threading.local()
        self._set, self._get = sys.set_asyncgen_hooks, sys.get_asyncgen_hooks
        self._tool: int | None = None
        self._undo: list[Callable[[], object]] = []

    # Installing ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to watch, on the calling thread and on threads that begin later."""
        for name, value in (("set_asyncgen_hooks", self._set_hooks), ("get_asyncgen_hooks", self._get_hooks)):
            for module in (sys, async_generator):
                self._undo.append(functools.partial(setattr, module, name, getattr(module, name)))
                setattr(module, name, value)
        before = threading.getprofile()
        self._undo.append(lambda: threading.setprofile(before))
        if _MONITORING and self._monitor():
            threading.setprofile(self._thread_begins)
        else:
            threading.setprofile(self._profile)
            sys.setprofile(self._profile)
            self._undo.append(lambda: sys.setprofile(None))
        self._join_thread()
        self.began = _now()

    def stop(self) -> None:
        """Stop watching, and put back all that start() has replaced."""
        self.ended = _now()
        while self._undo:
            self._undo.pop()()
        user = self._hooks_of_user()
        self._set(*user)
        sys.set_coroutine_origin_tracking_depth(0)

    def _join_thread(self) -> None:
        """Begin to watch the generators of the calling thread."""
        if not getattr(self._of_thread, "joined", False):
            self._of_thread.joined = True
            self._of_thread.user = tuple(self._get())
            sys.set_coroutine_origin_tracking_depth(4)
            self._install()

    def _hooks_of_user(self) -> tuple[Any, Any]:
        return getattr(self._of_thread, "user", (None, None))

    def _set_hooks(self, *args: Any, **kwargs: Any) -> None:
        """Replaces sys.set_asyncgen_hooks(): the same checks and the same effect, but our hooks call the new ones."""
        self._join_thread()
        self._set(*self._hooks_of_user())
        try:
            self._set(*args, **kwargs)
            self._of_thread.user = tuple(self._get())
        finally:
            self._install()

    def _get_hooks(self) -> Any:
        """Replaces sys.get_asyncgen_hooks(): returns the hooks that the program has set."""
        return type(self._get())(self._hooks_of_user())

    def _install(self) -> None:
        """Set hooks that report a generator, and then call the user's hooks."""
        firstiter, finalizer = self._hooks_of_user()

        def first(generator: Any) -> None:
            self._meet(generator)
            if firstiter is not None:
                firstiter(generator)

        def final(generator: Any) -> None:
            known = self._of(generator.ag_frame)
            if known is not None:
                known.left = "dropped unfinished; left to the event loop to close"
            before = sys.getrefcount(generator)
            finalizer(generator)
            # CPython clears weak references before it calls the hook. A new one is safe only if the hook has kept the
            # generator: otherwise the generator is freed, and the reference would dangle.
            if known is not None and sys.getrefcount(generator) > before:
                known.weak = weakref.ref(generator)

        self._set(first, None if finalizer is None else final)

    def _monitor(self) -> bool:
        """Watch by sys.monitoring. False if no tool number is free."""
        monitoring = sys.monitoring  # type: ignore[attr-defined,unused-ignore]
        events = monitoring.events
        for tool in (monitoring.PROFILER_ID, 3, 4):
            if monitoring.get_tool(tool) is None:
                break
        else:
            return False
        monitoring.use_tool_id(tool, "async_generator")
        self._tool = tool
        self._local = events.PY_START | events.PY_RESUME | events.PY_YIELD | events.PY_RETURN
        callbacks: dict[int, Callable[..., object]] = {
            events.PY_START: self._on_enter,
            events.PY_RESUME: self._on_enter,
            events.PY_THROW: self._on_enter,
            events.PY_YIELD: self._on_yield,
            events.PY_RETURN: self._on_return,
            events.PY_UNWIND: self._on_unwind,
            events.CALL: self._on_call,
        }
        for event, callback in callbacks.items():
            monitoring.register_callback(tool, event, callback)
        monitoring.set_events(tool, events.PY_THROW | events.PY_UNWIND | events.CALL)
        self._disable = monitoring.DISABLE

        def undo() -> None:
            monitoring.set_events(tool, 0)
            for event in callbacks:
                monitoring.register_callback(tool, event, None)
            monitoring.free_tool_id(tool)

        self._undo.append(undo)
        return True

    def _thread_begins(self, frame: Any, event: str, argument: Any) -> None:
        """The first profile function of a new thread. It removes itself."""
        sys.setprofile(None)
        self._join_thread()

    # Events of the interpreter -----------------------------------------------------------------------------------------

    def _of(self, frame: Any) -> _Generator | None:
        """The generator whose body has this frame."""
        known = self._by_frame.get(id(frame))
        # The end of a dropped generator may not be seen, and another frame may then have the address of its frame.
        return known if known is not None and known.code is frame.f_code else None

    def _on_enter(self, code: Any, offset: int, exception: Any = None) -> None:
        known = self._of(sys._getframe(1))
        if known is not None:
            self._enter(known)

    def _on_yield(self, code: Any, offset: int, value: Any) -> None:
        known = self._of(sys._getframe(1))
        if known is not None:
            self._yielded(known, value)

    def _on_return(self, code: Any, offset: int, value: Any) -> None:
        frame = sys._getframe(1)
        known = self._of(frame)
        if known is not None:
            self._ended(known, frame, "returned")

    def _on_unwind(self, code: Any, offset: int, exception: Any) -> None:
        frame = sys._getframe(1)
        known = self._of(frame)
        if known is not None:
            closed = isinstance(exception, GeneratorExit)
            self._ended(known, frame, "closed" if closed else f"raised {type(exception).__name__}")

    def _on_call(self, code: Any, offset: int, function: Any, argument: Any) -> Any:
        """Remember where a native async generator function is called. Calls at other places are not reported again."""
        if type(function) is types.MethodType:
            function = function.__func__
        # Only this exact type is accepted: another object might run code of its own when an attribute is read.
        if type(function) is not types.FunctionType or "_async_gen_function" in function.__dict__:
            return self._disable
        made = function.__code__
        if not made.co_flags & inspect.CO_ASYNC_GENERATOR:
            return self._disable
        frame = sys._getframe(1)
        self._made.setdefault(made, Counter())[code.co_filename, frame.f_lineno, code.co_qualname] += 1
        return None

    def _profile(self, frame: Any, event: str, argument: Any) -> None:
        """Watch by sys.setprofile(): before 3.12, and if no tool number of sys.monitoring is free."""
        if not getattr(self._of_thread, "joined", False):
            self._join_thread()
        known = self._of(frame)
        if known is None:
            return
        if event == "call":
            self._enter(known)
        elif event == "return":
            code, at = frame.f_code.co_code, frame.f_lasti
            here = dis.opname[code[at]]
            following = dis.opname[code[at + 2]] if at + 2 < len(code) else ""
            # If the body does not handle an exception thrown in at a yield, it leaves at that yield, and `argument` is None.
            generator = known.weak()
            left = argument is None and (generator is None or generator.ag_await is None)
            if not left and (here == "YIELD_VALUE" or "YIELD_FROM" in (here, following)):
                # RESUME 1 follows a yield; another number follows an await.
                raw = rewriting.YIELDS and code[at + 3] == 1 and type(argument).__name__ not in _KEPT
                self._yielded(known, _engine.box(argument) if raw else argument)
            else:
                self._ended(known, frame, "returned" if here.startswith("RETURN") else "raised, or was closed")

    # Generators --------------------------------------------------------------------------------------------------------

    def _meet(self, generator: Any) -> None:
        """Begin to watch a generator, which is iterated for the first time."""
        frame = generator.ag_frame
        if frame is None:
            return
        known = _Generator(next(self._numbers), generator, getattr(self._of_thread, "delegating", None))
        self._of_thread.delegating = None
        known.site, known.exact = self._site(generator, known)
        self.generators[known.number] = known
        self._by_frame[id(frame)] = known
        if self._tool is not None:
            sys.monitoring.set_local_events(self._tool, known.code, self._local)  # type: ignore[attr-defined,unused-ignore]

    def _site(self, generator: Any, known: _Generator) -> tuple[_Site, bool]:
        """The place where the generator was made, and True; or the place where it is first used, and False."""
        origin = getattr(getattr(generator, "_coroutine", None), "cr_origin", None)
        if origin:
            # On 3.11, and without an engine, calls of this package have frames, in which the body is made.
            call = f"<call of {known.code.co_name}>"
            outer = [one for one in origin if one[2] != call and not one[0].startswith(_PLAIN)]
            file, line, function = (outer or origin)[0]
            return (file, line, function), True
        made: Counter[_Site] = self._made.get(known.code, Counter())
        if len(made) == 1:
            ((site, count),) = made.items()
            made[site] = count - 1
            if count == 1:
                del made[site]
            return site, True
        frame: Any = sys._getframe(2)
        while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] in (
            __name__.split(".")[0],
            "contextlib",
        ):
            frame = frame.f_back
        if frame is None:
            return ("?", 0, "?"), False
        return (frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name), False

    def _enter(self, known: _Generator) -> None:
        now = _now()
        if known.began is None:
            known.began = now
            self.begun += 1
        if known.awaiting is not None:
            since, what = known.awaiting
            self._span(known, what, since, now)
            known.awaiting = None
        self._delegated(known, now)
        if known.running is None:
            known.running = now
        self._of_thread.delegating = None

    def _yielded(self, known: _Generator, value: Any) -> None:
        now = _now()
        if sys.version_info < (3, 11) and isinstance(value, _engine.box_type):  # a rewritten delegation is boxed there
            content = _engine.unbox(value)
            value = content if type(content).__name__ == "yield_from_awaitable" else value
        if isinstance(value, _WRAPPERS) or isinstance(value, _engine.yield_awaitable):
            known.items += 1
            self.items += 1
            above = known.parent
            while above is not None and above.delegating is not None:
                above.passed += 1
                above = above.parent
            self._span(known, f"item {known.items}", known.running, now)
            known.running = None
        elif type(value).__name__ == "yield_from_awaitable":
            self._span(known, "delegates", known.running, now)
            known.running, known.delegating = None, now
            self._of_thread.delegating = known  # the next generator that begins is the delegate
        else:
            known.awaiting = (now, self._awaited(known, value))

    def _awaited(self, known: _Generator, value: Any) -> str:
        """A name for the await. From 3.14 on, a generator does not tell at this point what it awaits."""
        generator = known.weak()
        awaited = generator.ag_await if generator is not None else None
        awaited = value if awaited is None else awaited
        if awaited is None:
            return "await"
        return f"await {getattr(awaited, '__qualname__', None) or type(awaited).__name__}"

    def _ended(self, known: _Generator, frame: Any, how: str) -> None:
        now = _now()
        self._by_frame.pop(id(frame), None)
        self._span(known, how, known.running, now)
        self._delegated(known, now)
        known.running = known.awaiting = None
        known.ended, known.end = now, how
        by_parent = known.parent is not None and known.parent.delegating is not None
        if "closed" in how and not known.left and not by_parent:
            driver = self._driver(frame)
            if known.weak() is None or driver == "__del__":
                known.left = _DROPPED
            elif driver in _LOOPS:
                known.left = "left open; closed by the event loop at its end"
        if not known.left and not known.spans:
            del self.generators[known.number]

    def _delegated(self, known: _Generator, now: int) -> None:
        if known.delegating is not None:
            self._span(known, "yield_from_", known.delegating, now)
            known.delegations[known.delegating] = now
            known.delegating = None

    @staticmethod
    def _driver(frame: Any) -> str:
        """The package whose code has entered this frame. Without an engine, "__del__" if its generator is being dropped."""
        above = frame.f_back
        while above is not None and above.f_globals.get("__name__", "").startswith("async_generator._plain."):
            if above.f_code.co_name == "__del__":
                return "__del__"
            above = above.f_back
        return "" if above is None else above.f_globals.get("__name__", "").split(".")[0]

    def _span(self, known: _Generator, name: str, since: int | None, until: int) -> None:
        if since is None:
            since = until
        if next(self.spans) < self.most_spans:
            known.spans.append((name, since, until))
        else:
            self.dropped_spans += 1

    # The report --------------------------------------------------------------------------------------------------------

    def unclosed(self, still_open: str = "still open when the program ended") -> list[dict[str, Any]]:
        """The generators that the program did not close, the most first. Those with the same name, place and fate are one
        entry.

        Args:
            still_open: the fate of a generator that is neither closed nor dropped.
        """
        counted: Counter[tuple[_Site, bool, str, str]] = Counter()
        items: Counter[tuple[_Site, bool, str, str]] = Counter()
        for known in self.generators.values():
            left = known.left or self._open(known, still_open)
            if left:
                key = (known.site, known.exact, known.name, left)
                counted[key] += 1
                items[key] += known.items + known.passed
        return [
            {
                "generator": name, "file": site[0], "line": site[1], "function": site[2], "made there": exact,
                "fate": left, "count": count, "items": items[site, exact, name, left],
            }
            for (site, exact, name, left), count in counted.most_common()
        ]  # fmt: skip

    @staticmethod
    def _open(known: _Generator, still_open: str) -> str:
        """The reason why a generator counts as not closed if its end was not seen; empty if it does not."""
        if known.began is None or known.ended is not None:
            return ""
        generator = known.weak()
        if generator is None:
            # The interpreter does not run a dropped body that has nothing to clean up.
            return "" if known.parent is not None else _DROPPED
        return "" if generator.ag_frame is None else still_open

    def timeline(self) -> dict[str, Any]:
        """The spans in Chrome's trace event format; its times are in microseconds.

        Each generator has a track. A generator that was a delegate from its start to its end is shown in the track of the
        generator that delegated to it.
        """
        process = os.getpid()
        events: list[dict[str, Any]] = [
            {"ph": "M", "pid": process, "name": "process_name", "args": {"name": " ".join(sys.argv)}}
        ]
        track: dict[_Generator, int] = {}
        for known in self.generators.values():
            if known.began is None:
                continue
            end = known.ended or self.ended
            inside = known.parent is not None and end <= known.parent.delegations.get(known.within, 0)
            row = track.get(known.parent, 0) if known.parent is not None and inside else 0
            if not row:
                row = len(track) + 1
                named = {"ph": "M", "pid": process, "tid": row, "name": "thread_name", "args": {"name": known.title}}
                events += [named, {**named, "name": "thread_sort_index", "args": {"sort_index": row}}]
            track[known] = row
            facts = {
                "made" if known.exact else "first used": "{}:{} in {}".format(*known.site),
                "items": known.items + known.passed, "end": known.end or "open", **({"not closed": known.left} if known.left else {}),
            }  # fmt: skip
            whole = [(known.title, known.began, end, facts)]
            for name, since, until, told in whole + [(*span, {}) for span in known.spans]:
                events.append({
                    "ph": "X", "pid": process, "tid": row, "cat": "async generator", "name": name, "args": told,
                    "ts": (since - self.began) / 1000, "dur": max(until - since, 1) / 1000,
                })  # fmt: skip
        return {"traceEvents": events, "displayTimeUnit": "ns", "otherData": {"spans left out": self.dropped_spans}}


def run(command: list[str], options: Options) -> int:
    """Run a program as ``__main__``, and report on its generators after its threads and atexit functions have ended.

    Args:
        command: a script and its arguments; or ``-m``, a module and its arguments.
        options: what is reported, and where.

    Returns:
        The exit status: 0, or 1 after an exception, whose traceback has been printed.

    Raises:
        SystemExit: the one that the program raises, or one with a message if there is no such module.
        KeyboardInterrupt: the one that the program raises.
        ImportError: if a package that contains the module cannot be imported.
        OSError: if the script cannot be read.
    """
    try:
        code, module, program = _load(command)
    except SyntaxError as error:
        sys.excepthook(type(error), error.with_traceback(None), None)
        return 1
    rewriting.rewrite(_load.__code__, globals())  # run its sample now: it is no generator of the program
    tracer = Tracer()
    report = Report(tracer, options.out or Path(f"{program}.trace.json"), options)
    report.install()
    sys.modules["__main__"] = module
    tracer.start()
    try:
        exec(code, module.__dict__)
    except SystemExit as end:
        report.succeeded = end.code in (None, 0)
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        trace = error.__traceback__
        sys.excepthook(type(error), error.with_traceback(trace and trace.tb_next), trace and trace.tb_next)
        return 1
    report.succeeded = True
    return 0


def _load(command: list[str]) -> tuple[types.CodeType, types.ModuleType, str]:
    """Load a program, and set sys.argv and sys.path for it.

    Args:
        command: as for run().

    Returns:
        The code of the program, the module in which it runs, and a name for its timeline.

    Raises:
        SystemExit: if there is no such module.
        ImportError: if a package that contains the module cannot be imported.
        OSError: if the script cannot be read.
        SyntaxError: if the program cannot be compiled.
    """
    module = types.ModuleType("__main__")
    module.__dict__["__builtins__"] = __builtins__
    if command[0] == "-m":
        name = command[1]
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{name}.__main__")
        loader: Any = spec and spec.loader
        code = loader.get_code(spec.name) if spec and hasattr(loader, "get_code") else None
        if spec is None or code is None:
            raise SystemExit(f"python -m async_generator: --trace: no module {name} that can be run")
        module.__spec__, module.__package__, module.__file__ = spec, spec.parent, spec.origin
        module.__loader__ = loader
        sys.argv[:] = [spec.origin or name, *command[2:]]
        return code, module, name
    script = command[0]
    with open(script, "rb") as file:
        code = compile(file.read(), script, "exec", dont_inherit=True)
    module.__spec__ = ModuleSpec("__main__", None, origin=script)
    module.__file__ = script
    sys.argv[:] = command
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        sys.path[0] = os.path.dirname(os.path.realpath(script))
    return code, module, Path(script).stem
