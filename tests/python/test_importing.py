"""What an import of the package loads, and that what it leaves for later is there when it is asked for."""

import modulefinder
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import async_generator as package
import pytest
from builds import PLAIN

LATER = {
    "YieldInScopeWarning": "_guard",
    "asynccontextmanager": "_util",
    "guard": "_guard",
    "instrument": "_environment",
    "isolated": "_environment",
    "preserve": "_environment",
    "structured": "_environment",
    "structured_tasks": "_environment",
}
LOADED = "sorted(name for name in sys.modules if name.startswith('async_generator'))"
DECORATE = """
@async_generator.async_generator
async def items(n=2):
    for i in range(n):
        await async_generator.yield_(i)
"""
ITERATE = """
async def collected():
    return [item async for item in items()]
try:
    collected().send(None)
except StopIteration as stop:
    assert stop.value == [0, 1], stop.value
"""


def said(code, *options):
    done = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def loaded(code, *options):
    """The package's modules that a program has loaded at its end, in a process of its own."""
    return said(f"import sys\n{code}\nprint(*{LOADED})", *options)


@pytest.mark.engine(reason="plain Python has modules instead of the engine")
def test_a_bare_import_loads_these_modules_only():
    assert loaded("import async_generator") == [
        "async_generator",
        "async_generator._engine",
        "async_generator._function",
        "async_generator._operators",
    ]


@pytest.mark.engine(reason="plain Python has modules instead of the engine")
def test_beyond_its_own_modules_an_import_loads_what_asyncio_and_typing_have_loaded():
    # Up to 3.14, asyncio imports typing itself.
    more = said(
        "import asyncio, typing, sys\nbefore = {*sys.modules}\nimport async_generator\nprint(*{*sys.modules} - before)"
    )
    assert all(name.startswith("async_generator") for name in more), more


def test_in_development_mode_the_guard_is_loaded_and_on():
    assert "async_generator._guard" in loaded("import async_generator", "-X", "dev")
    expected = "off" if PLAIN else "warn"
    assert said("import async_generator as a\nprint(a.guard('off'))", "-X", "dev") == [expected]


@pytest.mark.engine(reason="plain Python changes no code")
def test_the_first_decorator_loads_what_calls_need():
    before = loaded(f"import async_generator{DECORATE}")
    assert {f"async_generator.{name}" for name in ("_bodies", "_calling", "_rewriting", "_with_blocks")} <= set(before)
    assert loaded(f"import async_generator{DECORATE}{ITERATE}") == before


@pytest.mark.parametrize("options", ["context='layered'", "context='own'"])
def test_the_first_call_of_a_decorated_function_imports_nothing(options):
    decorate = DECORATE.replace("async_generator.async_generator", f"async_generator.async_generator({options})", 1)
    said(f"import async_generator, sys{decorate}\nbefore = {LOADED}{ITERATE}\nassert {LOADED} == before, {LOADED}")


@pytest.mark.parametrize("name", sorted(LATER))
def test_a_later_name_loads_its_module_when_it_is_asked_for(name):
    code = f"from async_generator import {name} as it\nimport async_generator\nassert async_generator.{name} is it"
    assert f"async_generator.{LATER[name]}" in loaded(code)
    module = getattr(__import__(f"async_generator.{LATER[name]}"), LATER[name])
    assert getattr(package, name) is getattr(module, name)


def test_the_predecessors_module_is_there_after_a_plain_import():
    assert said("import async_generator as a\nprint(a._impl.__name__)") == ["async_generator._impl"]
    assert said("from async_generator import _impl\nprint(_impl.__name__)") == ["async_generator._impl"]


def test_the_version_is_there_after_a_plain_import():
    assert said("import async_generator as a\nprint(a.__version__ == a._version.__version__)") == ["True"]


def test_the_streams_are_there_after_a_plain_import_where_there_is_an_engine():
    code = "import async_generator as a\ntry: print(a.streams.merge.__name__)\nexcept ImportError as e: print('engine' in str(e))"
    assert said(code) == ["True" if PLAIN else "merge"]


def test_dir_and_star_have_all_names_before_any_is_used():
    code = "import async_generator as a\nnames = {*dir(a)}\nassert {*a.__all__, '_impl', '_util'} <= names, names"
    said(f"{code}\nfrom async_generator import *\nassert {{*a.__all__}} <= globals().keys()")


def test_a_name_that_does_not_exist_is_refused_as_by_any_module():
    with pytest.raises(AttributeError, match="^module 'async_generator' has no attribute 'nothing'$"):
        package.nothing  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec("from async_generator import nothing")


@pytest.mark.parametrize("name", sorted(set(package.__all__) - {"structured_tasks"}))
def test_public_names_are_pickled_by_name(name):
    value = getattr(package, name)
    done = subprocess.run(
        [sys.executable, "-c", "import pickle, sys; print(pickle.load(sys.stdin.buffer))"],
        input=pickle.dumps(value),
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert pickle.loads(pickle.dumps(value)) is value


def test_threads_that_decorate_first_at_the_same_time_all_get_generators():
    body = f"{DECORATE}{ITERATE}async_generator.guard('off')\nasync_generator.structured\nasync_generator._impl\n"
    code = f"""
import async_generator, sys, threading
sys.setswitchinterval(1e-6)
start, failed = threading.Barrier(8), []
def work():
    start.wait()
    try:
        exec(compile({body!r}, "<body>", "exec"), {{"async_generator": async_generator}})
    except BaseException as error:
        failed.append(repr(error))
threads = [threading.Thread(target=work) for _ in range(8)]
[one.start() for one in threads]
[one.join() for one in threads]
assert not failed, failed
"""
    for _ in range(5):
        said(code)


def test_tools_that_freeze_programs_find_every_module_in_the_code(tmp_path):
    # With nothing else on the path, other packages are not followed.
    folder = shutil.copytree(Path(package.__file__).parent, tmp_path / "async_generator")
    finder = modulefinder.ModuleFinder([str(tmp_path)])
    finder.import_hook("async_generator")
    modules = {f"async_generator.{path.stem}" for path in folder.glob("_[a-z]*.py")}
    # The command's own, pytest's entry point, and what async_generator.bridge imports, which the program itself names.
    apart = {f"async_generator.{name}" for name in ("_trace", "_trace_report", "_pytest_entry", "_beside")}
    assert apart < modules and modules - apart <= finder.modules.keys(), modules - apart - finder.modules.keys()


@pytest.mark.engine(reason="plain Python reads no code")
@pytest.mark.parametrize("late", ["generator", "function"])
def test_nothing_is_said_when_code_outlives_the_package(late):
    """At the end of the process, modules are emptied in the reverse order of their import."""
    kept = {"generator": "generator = items()\ngenerator.asend(None).send(None)", "function": "generator = items"}
    code = f"""
import async_generator, contextlib, sys
async def items():
    with contextlib.suppress(KeyError):
        await async_generator.yield_(1)
items = async_generator.async_generator(items)
try:
    {kept[late].splitlines()[0]}
    {kept[late].splitlines()[-1]}
except StopIteration:
    pass
async_generator.guard("error")
sys.kept = generator
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
