"""Memory that the system does not give. Each allocation of a scenario fails in turn; nothing crashes, and afterwards
everything works as before."""

import subprocess
import sys
from pathlib import Path

import pytest
from builds import DEBUG

pytest.importorskip("_testcapi", reason="this interpreter came without its test modules")
if DEBUG:
    pytest.skip(
        "without memory a debug build fails assertions of its own, in list.append and range()", allow_module_level=True
    )

SCRIPT = """
import sys, warnings
import _testcapi
from async_generator import async_generator, yield_, yield_from_
from driving import outcome, run, trap

async def handing(item):
    return await yield_(item)

class Plain:
    left = 2  # no list: where one cannot be built, the free-threaded 3.13 frees its items twice
    def __aiter__(self): return self
    async def __anext__(self):
        if not self.left: raise StopAsyncIteration(5)
        self.left -= 1
        return self.left
    async def asend(self, value): return value
    async def athrow(self, error): raise error
    async def aclose(self): pass

@async_generator
async def leaf():
    try:
        await yield_(1)
        await trap()
        await handing(2)
        await yield_(3)
    except KeyError:
        await yield_("caught")
    return 7

async def delegating():
    return await yield_from_(leaf())

@async_generator
async def middle():
    first = await yield_from_(leaf())
    second = await delegating()
    third = await yield_from_(Plain())
    await yield_((first, second, third))

@async_generator
async def root():
    await yield_from_(middle())

@async_generator
async def native_syntax():
    yield 1
    await yield_from_(leaf())

def used(function):
    generator = function()
    seen = []
    for step in range(14):
        operation = generator.athrow(KeyError()) if step == 4 else generator.asend(None) if step % 2 else generator.__anext__()
        seen.append(outcome(run, operation))
    return [*seen, outcome(run, generator.aclose())]

def dropped(function):
    generator = function()
    outcome(run, generator.__anext__())
    outcome(generator.__anext__().send, None)
    function().aclose()
    function().asend(None)
    function()

warnings.simplefilter("ignore")
sys.unraisablehook = lambda report: None
for scenario in (used, dropped):
    for function in (root, native_syntax, middle, leaf):
        expected = scenario(function)
        for failing in range(250):
            _testcapi.set_nomemory(failing, failing + 1)
            try:
                scenario(function)
            except MemoryError:
                pass
            finally:
                _testcapi.remove_mem_hooks()
        assert scenario(function) == expected
print("done")
"""


def test_an_allocation_that_fails_is_an_error_and_nothing_worse():
    path = f"sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}\n"
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", f"import sys\n{path}{SCRIPT}"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout == "done\n", done.stderr[-3000:]
