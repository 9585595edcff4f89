"""Extension modules beside each other, with engines of other versions, in threads, forks, sub-interpreters, and at the end."""

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import extensions
import pytest
import test_threads
from async_generator import async_generator, yield_, yield_from_

HERE = Path(__file__).resolve().parent


def collect(generator):
    async def main():
        return [item async for item in generator]

    coroutine = main()
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it suspended")


@pytest.fixture(scope="module")
def folder():
    return extensions.build(HERE / "bodies", WITH_PYBIND11="ON")


def python(folder, code, *, check=True, **environment):
    """Runs code in a new interpreter that finds the modules; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-W", "error", "-c", code],
        env={**os.environ, "PYTHONPATH": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    if check:
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
    return done.stdout if check else done


# Other modules, other versions -------------------------------------------------------------------------------------------


def test_generators_of_modules_that_different_tools_made_work_together(channels):
    nanobind = extensions.load(HERE / "bodies", "bodies_nanobind", WITH_PYBIND11="ON")
    pybind11 = extensions.load(HERE / "bodies", "bodies_pybind11", WITH_PYBIND11="ON")
    assert type(nanobind.count(1)) is type(pybind11.count(1)) is type(channels.numbers(1, 1))

    @async_generator
    async def both():
        await yield_from_(nanobind.count(2))
        await yield_from_(pybind11.count(2))
        await yield_("end")

    assert collect(both()) == [0, 1, 0, 1, "end"]
    assert collect(nanobind.twice(pybind11.twice(nanobind.count(3)))) == [0, 4, 8]
    assert collect(nanobind.twice(pybind11.count(3))) == [0, 2, 4], "another module's generator is iterated, not moved"


FAKE_ENGINE = """
import ctypes, struct
import async_generator._engine as engine
name = b"async_generator._engine.bridge"
new = ctypes.pythonapi.PyCapsule_New
new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
table = ctypes.create_string_buffer(struct.pack("II", {version}, {size}) + bytes(256))
engine.bridge = new(ctypes.addressof(table), name, None)
try:
    import {module}
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize("module", ["bodies_nanobind", "bodies_pybind11"])
@pytest.mark.parametrize(
    ("version", "size", "advice"),
    [(0, 1000, "update async_generator"), (1, 16, "update async_generator"), (2, 1000, "build the module again")],
    ids=["older", "smaller", "newer"],
)
def test_an_engine_of_another_version_is_an_import_error_that_says_what_to_do(folder, module, version, size, advice):
    told = python(folder, FAKE_ENGINE.format(version=version, size=size, module=module))
    assert f"version {version}.{size} of the bridge" in told and advice in told


@pytest.mark.parametrize("module", ["bodies_nanobind", "bodies_pybind11"])
def test_a_package_without_a_bridge_is_an_import_error(folder, module):
    code = f"""
import async_generator._engine as engine
del engine.bridge
try:
    import {module}
except ImportError as error:
    print(error)
"""
    assert "has no bridge to C++: update it" in python(folder, code)


@pytest.mark.parametrize("module", ["bodies_nanobind", "bodies_pybind11"])
def test_a_package_without_the_engine_is_an_import_error_that_says_what_to_install(folder, module):
    code = f"""
import sys
import async_generator
sys.modules["async_generator._engine"] = None
try:
    import {module}
except ImportError as error:
    print(error)
"""
    told = python(folder, code)
    assert "in plain Python, and C++ generators need its engine: install it with a C++20 compiler" in told


# Threads, forks, sub-interpreters ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("begun", [False, True], ids=["created", "suspended"])
def test_generators_are_dropped_on_another_thread(bodies, begun):
    async def begin(generator):
        return await anext(generator)

    def make():
        generator = bodies.count(3)
        if begun:
            with pytest.raises(StopIteration):
                begin(generator).send(None)
        return generator

    generators = [make() for _ in range(50)]
    assert bodies.alive() == (50 if begun else 0)
    thread = threading.Thread(target=generators.clear)
    thread.start()
    thread.join()
    gc.collect()
    assert bodies.alive() == 0


def test_generators_are_driven_on_several_threads(bodies):
    got = []

    def work():
        got.append(collect(bodies.count(2000)) == list(range(2000)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [True] * 4


PENDING = """
import asyncio, {module} as bodies
async def begin(generator):
    return await anext(generator)
numbers = bodies.count(3)
try:
    begin(numbers).send(None)
except StopIteration:
    pass
class Waits:
    def __await__(self):
        yield
operation = bodies.awaits(1, Waits, None).__anext__()
operation.send(None)
task = bodies.fetch(Waits())
task.send(None)
class Owner: pass
owner = Owner()
owner.generator = bodies.keeps(owner)
"""


# A sub-interpreter's `import` finds the module by the path; nanobind's and pybind11's modules are not for these.
IN_SUBINTERPRETER = """
import gc, sys
sys.path[:] = {path!r}
import bodies_raw
from async_generator import async_generator, yield_from_

@async_generator
async def outer():
    return await yield_from_(bodies_raw.count(3))

async def collect(generator):
    return [item async for item in generator]

for generator in (bodies_raw.count(3), outer()):
    try:
        collect(generator).send(None)
    except StopIteration as stop:
        assert stop.value == [0, 1, 2], stop.value
    else:
        raise AssertionError("it suspended")
kept = bodies_raw.count(3)
try:
    kept.__anext__().send(None)
except StopIteration:
    pass
"""


@pytest.mark.parametrize("way", test_threads.WAYS)
def test_sub_interpreters_have_generators_of_their_own(folder, way):
    code = f"""
import sys
sys.path.append({str(Path(test_threads.__file__).parent)!r})
import bodies_raw
from test_threads import subinterpreters
kept = bodies_raw.count(3)
try:
    kept.__anext__().send(None)
except StopIteration:
    pass
execute = dict(subinterpreters())[{way!r}]
for _ in range(3):
    execute({IN_SUBINTERPRETER!r}.format(path=sys.path))
try:
    kept.__anext__().send(None)
except StopIteration as stop:
    print(stop.value)
"""
    done = python(folder, code, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


@pytest.mark.parametrize("module", ["bodies_nanobind", "bodies_pybind11"])
def test_pending_bodies_at_the_end_of_the_interpreter(folder, module):
    code = PENDING.format(module=module) + "kept = [numbers, operation, task, owner]\nprint('end')"
    done = python(folder, code, check=False)
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr
    assert "Fatal" not in done.stderr and "Segmentation" not in done.stderr


@pytest.mark.parametrize("rest", ["", ".asend(None)", ".__anext__()", ".athrow(ValueError)", ".aclose()"])
def test_what_was_never_begun_is_garbage_at_the_end_of_the_interpreter(folder, rest):
    # The collector frees the module first, and whoever looks into its memory then finds 0xDD.
    code = f"""
import warnings
import bodies_raw
warnings.simplefilter("ignore")
kept = [bodies_raw.count(3){rest}]
kept.append(kept)
print("end")
"""
    assert python(folder, code, PYTHONMALLOC="debug") == "end\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_pending_bodies_in_a_fork(folder):
    code = (
        PENDING.format(module="bodies_nanobind")
        + """
import os, sys
child = os.fork()
if child == 0:
    del numbers, operation, task
    async def rest():
        return [item async for item in bodies.count(3)]
    try:
        rest().send(None)
    except StopIteration as stop:
        assert stop.value == [0, 1, 2]
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    )
    done = python(folder, code, check=False)
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


@pytest.mark.parametrize("argument", ["--include", "--cmake-dir"])
def test_the_package_says_where_the_headers_are(argument):
    from async_generator import bridge

    command = [sys.executable, "-m", "async_generator.bridge", argument]
    told = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    if argument == "--include":
        assert told == Path(bridge.get_include()) and (told / "agen" / "python.hpp").is_file()
    else:
        assert told == Path(bridge.get_cmake_dir()) and (told / "agen-config.cmake").is_file()
