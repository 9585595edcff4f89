"""python -m async_generator: what it says of this installation, and what it sees of a program's generators."""

import json
import os
import re
import signal
import subprocess
import sys

import async_generator
import pytest
from async_generator import _implementation as _engine
from async_generator._code import rewriting
from builds import PLAIN

PROLOGUE = """\
import asyncio, sys, threading
from async_generator import aclosing, async_generator, yield_, yield_from_

async def native(n):
    try:
        for i in range(n):
            await asyncio.sleep(0)
            yield i
    finally:
        await asyncio.sleep(0)

@async_generator
async def ours(n):
    try:
        for i in range(n):
            await asyncio.sleep(0)
            await yield_(i)
    finally:
        await asyncio.sleep(0)

@async_generator
async def outer(n):
    await yield_from_(ours(n))
    await yield_from_(native(n))

async def first(generator):
    async for item in generator:
        return item
"""


def call(*arguments, cwd=None, env=None):
    command = [sys.executable, "-m", "async_generator", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=env, timeout=120)


class Traced:
    """One traced run of a program."""

    def __init__(self, folder, source, *arguments, prologue=PROLOGUE):
        self.script = folder / "program.py"
        self.script.write_text(prologue + source)
        out = folder / "out.json"
        self.done = call("--json", "--out", out, "--trace", self.script, *arguments, cwd=folder)
        assert self.done.stderr, self.done
        *self.errors, told = self.done.stderr.splitlines()
        self.told = json.loads(told)
        self.events = json.loads(out.read_text())["traceEvents"]
        self.unclosed = {(one["generator"], one["fate"]): one for one in self.told["not closed"]}

    def line(self, text):
        """The number of the one line of the program that contains a text."""
        found = [i for i, line in enumerate(self.script.read_text().splitlines(), 1) if text in line]
        assert len(found) == 1
        return found[0]

    def spans(self, name):
        return [event for event in self.events if event["ph"] == "X" and event["name"].startswith(name)]


@pytest.fixture
def traced(tmp_path):
    return lambda source, *arguments, **more: Traced(tmp_path, source, *arguments, **more)


# What is installed -----------------------------------------------------------------------------------------------------


def test_it_says_version_engine_interpreter_and_fast_paths():
    done = call()
    assert done.returncode == 0 and not done.stderr
    for said in (
        f"async_generator {async_generator.__version__}",
        _engine.__file__ if not PLAIN else "in plain Python: ",
        sys.version.split()[0],
        "real yields",
    ):
        assert said in done.stdout


def test_json_has_a_reason_for_each_path_that_is_off():
    said = json.loads(call("--json").stdout)
    assert said["version"] == async_generator.__version__
    paths = said["fast paths"]
    assert set(paths) == {*_engine.fast_paths(), "real yields"}
    for name, on in _engine.fast_paths().items():
        assert (paths[name] is None) == on
        assert on or len(paths[name]) > 20
    rewriting.rewrite(Traced.line.__code__, globals())
    assert paths["real yields"] == rewriting.disabled


def test_it_says_why_plain_python_takes_the_engines_place():
    done = call("--json", env={**os.environ, "ASYNC_GENERATOR_ENGINE": "plain"})
    assert json.loads(done.stdout)["engine"] == "in plain Python: ASYNC_GENERATOR_ENGINE=plain asks for it"


@pytest.mark.parametrize("arguments", [["--trace"], ["--trace", "nowhere.py"], ["--trace", "-m"], ["--nonsense"]])
def test_a_wrong_command_line_is_refused_with_a_sentence(arguments, tmp_path):
    done = call(*arguments, cwd=tmp_path)
    assert done.returncode == 2 and "usage:" in done.stderr and "error:" in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_package_does_not_import_the_tracer():
    code = "import sys, async_generator; sys.exit('async_generator._trace' in sys.modules or 'json' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# The program is what it would be without -------------------------------------------------------------------------------


def test_the_program_is_main_with_its_arguments_and_its_folder(traced):
    source = "import json, sys, os\nprint(json.dumps([__name__, sys.argv, __file__, sys.path[0], sys.modules['__main__'].__file__]))\n"
    run = traced(source, "--json", "-x", "--trace", prologue="")
    name, argv, file, path, main = json.loads(run.done.stdout)
    assert (name, argv, file, main) == (
        "__main__",
        [str(run.script), "--json", "-x", "--trace"],
        str(run.script),
        str(run.script),
    )
    assert path == str(run.script.parent)


@pytest.mark.parametrize(
    ("source", "status"),
    [("", 0), ("sys.exit(7)", 7), ("sys.exit('said')", 1), ("raise ValueError('x')", 1), ("asyncio.run(1)", 1)],
)
def test_the_exit_status_is_kept(traced, source, status):
    assert traced(source + "\n").done.returncode == status


def test_a_traceback_has_the_programs_frames_only(traced):
    run = traced("def f():\n    raise ValueError('mine')\nf()\n")
    text = "\n".join(run.errors)
    assert "ValueError: mine" in text and "_trace.py" not in text and "program.py" in text


def test_a_module_can_be_traced(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(
        "import sys\nfrom . import __name__ as name\nprint(name, sys.argv[1:], __package__)\n"
    )
    done = call("--out", tmp_path / "x.json", "--trace", "-m", "package", "a", cwd=tmp_path)
    assert done.stdout == "package ['a'] package\n" and done.returncode == 0, done.stderr
    assert call("--trace", "-m", "nothing_of_that_name", cwd=tmp_path).returncode == 1


def test_a_program_without_the_option_is_an_error_that_names_it(tmp_path):
    done = call("program.py", "argument", cwd=tmp_path)
    assert done.returncode == 2
    assert "unrecognized arguments: program.py argument; to run a program, write --trace program.py" in done.stderr
    done = call("--children", "--nonsense", "program.py", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.endswith("unrecognized arguments: --nonsense program.py\n")


def test_hooks_are_the_programs_own(traced):
    source = """
calls = []
def firstiter(generator): calls.append(("first", type(generator).__name__))
def finalizer(generator): calls.append(("final", type(generator).__name__))
before = sys.get_asyncgen_hooks()
assert before == (None, None), before
sys.set_asyncgen_hooks(firstiter, finalizer=finalizer)
assert sys.get_asyncgen_hooks() == (firstiter, finalizer) and sys.get_asyncgen_hooks().firstiter is firstiter
async def one(): yield 1
generator = one()
try: first(generator).send(None)
except StopIteration as done: assert done.value == 1
del generator
assert calls == [("first", "async_generator"), ("final", "async_generator")], calls
try: sys.set_asyncgen_hooks(firstiter=1)
except TypeError as error: assert "firstiter" in str(error)
else: assert False
assert sys.get_asyncgen_hooks() == (firstiter, finalizer)
sys.set_asyncgen_hooks(*before)
assert sys.get_asyncgen_hooks() == before
import async_generator
assert async_generator.set_asyncgen_hooks is sys.set_asyncgen_hooks
print("right")
"""
    run = traced(source)
    assert run.done.stdout == "right\n", run.errors


def test_nothing_is_kept_alive(traced):
    source = """
import weakref, gc
async def main():
    for function in native, ours:
        generator = function(3)
        await first(generator)
        await generator.aclose()
        seen = weakref.ref(generator)
        del generator
        gc.collect()
        print(seen() is None)
asyncio.run(main())
"""
    assert traced(source).done.stdout == "True\nTrue\n"


# What was not closed ---------------------------------------------------------------------------------------------------


def test_closed_and_exhausted_generators_are_not_reported(traced):
    source = """
async def main():
    for function in native, ours, outer:
        print([item async for item in function(2)])
        async with aclosing(function(2)) as items:
            await first(items)
        other = function(2)
        await first(other)
        await other.aclose()
        function(2)     # never iterated: nothing to close
asyncio.run(main())
"""
    run = traced(source)
    assert run.done.returncode == 0, run.errors
    assert run.unclosed == {}
    # Of each function three that begin; `outer` makes two, one, and one more.
    assert run.told["generators"] == 13


LEFT = "dropped unfinished; left to the event loop to close"
AT_END = "left open; closed by the event loop at its end"
DROPPED = "dropped unfinished; nobody awaited its cleanup"
OPEN = "still open when the program ended"


@pytest.mark.parametrize("function", ["native", "ours", "outer"])
def test_dropped_generators_are_reported_with_the_place_where_they_were_made(traced, function):
    source = f"""
def make():
    return {function}(5)    # here
async def main():
    for _ in range(3):
        await first(make())
    await asyncio.sleep(0.01)
asyncio.run(main())
"""
    run = traced(source)
    assert set(run.unclosed) == {(function, LEFT)}
    one = run.unclosed[function, LEFT]
    assert (one["count"], one["items"], one["file"]) == (3, 3, str(run.script))
    known = function != "native" or sys.version_info >= (3, 12)
    assert one["made there"] is known
    if known:
        assert (one["line"], one["function"]) == (run.line("# here"), "make")
    else:
        assert one["function"] == "first"


def test_generators_that_the_loop_closes_at_its_end_are_reported(traced):
    run = traced(
        "kept = ours(3), native(3)\nasync def main():\n    for one in kept: await first(one)\nasyncio.run(main())\n"
    )
    assert set(run.unclosed) == {("ours", AT_END), ("native", AT_END)}


def test_without_a_loop(traced):
    source = """
async def bare():
    yield 1
@async_generator
async def own():
    yield 1
kept = bare(), own()
for generator in (*kept, bare(), own()):
    try: first(generator).send(None)
    except StopIteration: pass
del generator
"""
    run = traced(source)
    assert {name for name, fate in run.unclosed if fate == OPEN} == {"bare", "own"}
    assert {name for name, fate in run.unclosed if fate == DROPPED} == {"bare", "own"}


def test_threads_with_loops_of_their_own(traced):
    source = """
async def main():
    await first(native(3))
    await first(ours(3))
    await asyncio.sleep(0.01)
threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(3)]
for thread in threads: thread.start()
"""
    run = traced(source)  # the report waits for threads that nobody joins
    assert run.unclosed["native", LEFT]["count"] == run.unclosed["ours", LEFT]["count"] == 3


def test_trio(traced):
    pytest.importorskip("trio")
    source = """
import trio, warnings
warnings.simplefilter("ignore", ResourceWarning)
async def first(generator):
    async for item in generator: return item
@async_generator
async def ours(n):
    for i in range(n):
        await trio.sleep(0)
        yield i
async def main():
    await first(ours(3))
    async with aclosing(ours(2)) as items: await first(items)
trio.run(main)
"""
    run = traced(source, prologue="from async_generator import aclosing, async_generator\n")
    assert run.done.returncode == 0, run.errors
    assert run.unclosed["ours", LEFT]["count"] == 1 and run.told["generators"] == 2


def test_an_exception_out_of_a_body_is_an_end(traced):
    source = """
@async_generator
async def failing():
    await yield_(1)
    raise KeyError("x")
async def main():
    try: [item async for item in failing()]
    except KeyError: print("raised")
asyncio.run(main())
"""
    run = traced(source)
    assert run.done.stdout == "raised\n" and not run.unclosed


def test_a_program_that_does_not_compile(tmp_path):
    (tmp_path / "p.py").write_text("def f(:\n")
    done = call("--trace", "p.py", cwd=tmp_path)
    assert done.returncode == 1 and "SyntaxError" in done.stderr and "_trace.py" not in done.stderr


@pytest.mark.engine(reason="an item counts for each generator that it passes through")
def test_many_generators_and_spans(tmp_path):
    source = """
import async_generator._trace as trace
trace.Tracer.most_spans = 50
@async_generator
async def many(n):
    for i in range(n): await yield_from_(ours(1))
async def main():
    print(len([item async for item in many(500)]))
    generators = [native(2) for _ in range(500)]
    for generator in generators: await first(generator)
asyncio.run(main())
"""
    run = Traced(tmp_path, source)
    assert run.done.stdout == "500\n", run.errors
    assert run.told["generators"] == 1 + 500 + 500 and run.told["items"] == 1000
    assert sum(event["ph"] == "X" for event in run.events) < 1200
    assert run.unclosed["native", LEFT if ("native", LEFT) in run.unclosed else AT_END]["count"] >= 499


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_does_not_tell(tmp_path):
    source = "import os\nif os.fork() == 0: sys.exit(3)\nos.wait()\nasyncio.run(first(ours(3)))\n"
    (tmp_path / "p.py").write_text(PROLOGUE + source)
    done = call("--trace", "p.py", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr.count("timeline:") == 1, done.stderr


def test_objects_that_are_called_are_not_asked_for_attributes(traced):
    source = """
class Called:
    asked = []
    def __getattr__(self, name):
        self.asked.append(name)
        raise AttributeError(name)
    def __call__(self): return 1
called = Called()
called()
print(called.asked)
class Methods:
    async def items(self): yield 1
async def main():
    await first(Methods().items())
asyncio.run(main())
"""
    run = traced(source)
    assert run.done.stdout == "[]\n"
    (one,) = run.told["not closed"]
    assert one["made there"] is (sys.version_info >= (3, 12)) and one["generator"] == "Methods.items"


# The timeline ----------------------------------------------------------------------------------------------------------


def test_the_timeline_is_one_that_trace_viewers_read(traced):
    run = traced("async def main():\n    print([item async for item in outer(2)])\nasyncio.run(main())\n")
    assert run.done.stdout == "[0, 1, 0, 1]\n"
    for event in run.events:
        assert event["ph"] in ("X", "M") and isinstance(event["pid"], int) and event["name"]
        if event["ph"] == "X":
            assert event["ts"] >= 0 and event["dur"] > 0 and isinstance(event["tid"], int)
    names = {event["name"] for event in run.events}
    assert {"item 1", "item 2", "returned", "process_name", "thread_name"} <= names
    assert ("await sleep" if sys.version_info < (3, 14) else "await") in names


def test_spans_of_one_track_are_nested(traced):
    run = traced(
        "async def main():\n    for _ in range(3): print([item async for item in outer(3)])\nasyncio.run(main())\n"
    )
    for track in {event["tid"] for event in run.events if event["ph"] == "X"}:
        spans = [(e["ts"], e["ts"] + e["dur"]) for e in run.events if e["ph"] == "X" and e["tid"] == track]
        for a, b in spans:
            for c, d in spans:
                assert (
                    b <= c + 0.0011 or d <= a + 0.0011 or (a <= c and d <= b + 0.0011) or (c <= a and b <= d + 0.0011)
                )


def test_a_delegate_stands_inside_its_delegation(traced):
    run = traced("async def main():\n    print([item async for item in outer(2)])\nasyncio.run(main())\n")
    delegations = run.spans("yield_from_")
    if not delegations:
        assert rewriting.disabled or sys.version_info < (3, 11)  # the body is then resumed for each item
        return
    delegates = run.spans("ours #") + run.spans("native #")
    assert len(delegations) == len(delegates) == 2
    for outer_span, inner in zip(delegations, delegates, strict=True):
        assert inner["tid"] == outer_span["tid"]
        assert (
            outer_span["ts"] <= inner["ts"]
            and inner["ts"] + inner["dur"] <= outer_span["ts"] + outer_span["dur"] + 0.001
        )


def test_awaits_have_their_time(traced):
    source = """
@async_generator
async def slow():
    await asyncio.sleep(0.05)
    await yield_(1)
async def main(): print([item async for item in slow()])
asyncio.run(main())
"""
    run = traced(source)
    (await_,), (item,) = run.spans("await"), run.spans("item 1")
    assert await_["dur"] > 40_000 and item["ts"] <= await_["ts"] and item["dur"] >= await_["dur"]


def test_where_it_goes_by_default_and_what_a_person_reads(tmp_path):
    (tmp_path / "careless.py").write_text(PROLOGUE + "asyncio.run(first(ours(3)))\n")
    done = call("--trace", "careless.py", cwd=tmp_path)
    assert (tmp_path / "careless.trace.json").exists()
    assert "1 async generator, 1 item" in done.stderr and "1 not closed by the program" in done.stderr
    line = PROLOGUE.count("\n") + 1
    assert f"careless.py:{line} in <module>: ours, made there, 1 item" in done.stderr, done.stderr


def test_a_timeline_that_cannot_be_written_is_said_and_changes_no_status(tmp_path):
    (tmp_path / "p.py").write_text("import sys\nsys.exit(5)\n")
    done = call("--out", tmp_path / "no" / "such" / "folder", "--trace", tmp_path / "p.py")
    assert done.returncode == 5 and "no timeline" in done.stderr and "Traceback" not in done.stderr


# Options -------------------------------------------------------------------------------------------------------------


def test_only_my_own_code(tmp_path):
    library = tmp_path / "site-packages"
    library.mkdir()
    (library / "library.py").write_text(PROLOGUE + "async def careless(): await first(ours(3))\n")
    source = "sys.path.insert(0, 'site-packages')\nimport library\nasyncio.run(library.careless())\n"
    (tmp_path / "p.py").write_text(PROLOGUE + source)
    done = call("--mine", "--check", "--trace", "p.py", cwd=tmp_path)
    assert done.returncode == 0 and "1 more in libraries, which --mine leaves out" in done.stderr, done.stderr
    (tmp_path / "p.py").write_text(PROLOGUE + source + "asyncio.run(first(native(3)))\n")
    done = call("--mine", "--check", "--trace", "p.py", cwd=tmp_path)
    assert done.returncode == 3 and "native, " in done.stderr and "library.py" not in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("end", "status"),
    [("", 3), ("sys.exit()", 3), ("sys.exit(5)", 5), ("1 / 0", 1), ("asyncio.run(first(ours(0)))", 3)],
)
def test_an_exit_status_for_what_was_left_open(tmp_path, end, status):
    source = f"import atexit, logging\natexit.register(print, 'atexit')\nasyncio.run(first(ours(3)))\n{end}\n"
    (tmp_path / "p.py").write_text(PROLOGUE + source)
    done = call("--check", "--trace", "p.py", cwd=tmp_path)
    assert done.returncode == status and done.stdout == "atexit\n", done.stderr
    (tmp_path / "p.py").write_text(PROLOGUE + "asyncio.run(first(ours(0)))\n")
    assert call("--check", "--trace", "p.py", cwd=tmp_path).returncode == 0


WAITS = """
async def main():
    items = ours(3)
    await items.__anext__()
    print("ready", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def started(folder, source, *options):
    (folder / "p.py").write_text(PROLOGUE + source)
    command = [sys.executable, "-m", "async_generator", *options, "--trace", "p.py"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)
    assert running.stdout.readline() == "ready\n"
    return running


@pytest.mark.skipif(os.name != "posix", reason="no signals of that kind on this system")
def test_a_server_is_asked_and_terminated(tmp_path):
    running = started(tmp_path, WAITS)
    running.send_signal(signal.SIGUSR1)
    lines = [running.stderr.readline() for _ in range(3)]
    assert "so far" in lines[0] and "1 not closed" in lines[1] and "ours" in lines[2] and "open now" in lines[2], lines
    running.terminate()
    rest = running.communicate(timeout=60)[1]
    assert running.returncode == -signal.SIGTERM
    assert "still open when the program ended" in rest and (tmp_path / "p.trace.json").exists()


@pytest.mark.skipif(os.name != "posix", reason="no signals of that kind on this system")
def test_signals_that_the_program_takes_are_its_own(tmp_path):
    source = "import signal\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
    running = started(tmp_path, source + WAITS)
    running.terminate()
    rest = running.communicate(timeout=60)[1]
    assert running.returncode == 7 and rest.count("1 async generator, ") == 1


@pytest.mark.parametrize("way", ["subprocess", "spawn"])
def test_processes_that_the_program_starts(tmp_path, way):
    (tmp_path / "child.py").write_text(PROLOGUE + "def main(): asyncio.run(first(ours(3)))\n")
    starts = {
        "subprocess": "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import child; child.main()'], check=True)",
        "spawn": """
import child, multiprocessing
if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=child.main)
    process.start()
    process.join()
    assert process.exitcode == 0""",
    }
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.hidden = True")  # another one is run all the same
    (tmp_path / "p.py").write_text(starts[way])
    (tmp_path / "child.py").write_text((tmp_path / "child.py").read_text() + "import sys; assert sys.hidden\n")
    command = [sys.executable, "-m", "async_generator", "--children", "--trace", "p.py"]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120, env=environ)
    assert done.returncode == 0, done.stderr
    told = re.findall(
        r"^async_generator\[(\d+)\]: .*child\.py:\d+ in main: ours, made there", done.stderr, re.MULTILINE
    )
    assert len(told) == 1, done.stderr
    assert (tmp_path / f"p.{told[0]}.trace.json").exists() and "async_generator: 0 async generators" in done.stderr
