"""A module of Python's stable ABI, on asyncio. Its functions are short: what they use is tested in the folder above."""

import asyncio
import gc
import importlib
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import extensions
import pytest

if sys.version_info < (3, 12):
    pytest.skip("nanobind's stable ABI begins with 3.12", allow_module_level=True)
if sysconfig.get_config_var("Py_GIL_DISABLED"):
    pytest.skip("a Python without the GIL has no stable ABI that nanobind links for", allow_module_level=True)


@pytest.fixture(scope="module")
def module():
    folder = extensions.build(Path(__file__).parent)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        return importlib.import_module("stable_abi")


async def collect(source):
    return [item async for item in source]


async def awaited(made):
    return await made


def test_it_is_the_file_of_every_newer_python(module):
    assert module.__file__.endswith(".abi3.so")


# What begins with an underscore and is in the stable ABI nevertheless, because the limited API's macros use it.
UNDERSCORED = {"_PyObject_GC_New", "_Py_DecRef", "_Py_Dealloc", "_Py_IncRef"}
UNDERSCORED |= {"_Py_FalseStruct", "_Py_NoneStruct", "_Py_NotImplementedStruct", "_Py_TrueStruct"}
# What the bridge uses without the limited API, and must not here.
UNLIMITED = {"PyCoro_Type", "PyGILState_Check"}


@pytest.mark.skipif(shutil.which("nm") is None, reason="there is no nm here (Debian: binutils)")
def test_it_uses_nothing_but_the_stable_abi(module):
    listed = subprocess.run(
        ["nm", "-D", "--undefined-only", module.__file__], capture_output=True, text=True, check=True, timeout=60
    )
    used = set(re.findall(r" U (_?Py\w+)", listed.stdout))
    assert "PyType_GetSlot" in used, listed.stdout
    assert not {name for name in used if name.startswith("_")} - UNDERSCORED
    assert not used & UNLIMITED


def test_a_generator_is_iterated_and_sent_to(module):
    async def main():
        assert await collect(module.count(3)) == [0, 1, 2]
        echo = module.echo()
        said = [await anext(echo), await echo.asend("one"), await echo.asend("two")]
        with pytest.raises(StopAsyncIteration) as stop:
            await echo.asend("end")
        return said, stop.value.args

    assert asyncio.run(main()) == (["ready", "one", "two"], (3,))


def test_batches(module):
    assert asyncio.run(collect(module.count(5).batches(2))) == [[0, 1], [2, 3], [4]]
    arrays = asyncio.run(collect(module.count(5).batches(4, array=True)))
    assert [array.tolist() for array in arrays] == [[0, 1, 2, 3], [4]]


def test_a_channel(module):
    async def main():
        return await asyncio.gather(*(collect(module.numbers(20)) for _ in range(3)))

    assert asyncio.run(main()) == [list(range(20))] * 3
    assert asyncio.run(collect(module.numbers(100).batches(64)))[0][0] == 0


def test_a_future(module):
    assert asyncio.run(awaited(module.answer(7))) == 7
    with pytest.raises(IndexError, match="below zero"):
        asyncio.run(awaited(module.answer(-1)))


def test_the_first_of_two(module):
    assert asyncio.run(awaited(module.first())) == 1


def test_a_body_awaits_coroutines_and_other_awaitables(module):
    async def main():
        future = asyncio.get_running_loop().create_future()
        future.set_result("future")
        return await module.fetch(asyncio.sleep(0, "coroutine")), await module.fetch(future)

    assert asyncio.run(main()) == ("coroutine", "future")


class Numbers:
    """An async iterator that is no generator, and ends with what it is given."""

    def __init__(self, *numbers, end=()):
        self.left = list(numbers)
        self.end = end

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.left:
            raise StopAsyncIteration(*self.end)
        return self.left.pop(0)


def test_a_python_iterable_is_an_argument(module):
    assert asyncio.run(awaited(module.sum(Numbers(1, 2, 3, end=[" in all"])))) == "6 in all"
    with pytest.raises(TypeError, match="type 'str' cannot be converted"):
        asyncio.run(awaited(module.sum(Numbers("one"))))
    with pytest.raises(TypeError, match="type 'NoneType' cannot be converted"):
        asyncio.run(awaited(module.sum(Numbers(1))))
    with pytest.raises(TypeError, match="incompatible function arguments"):
        module.sum([1, 2])


def test_exceptions_cross_both_ways(module):
    async def wrong():
        raise LookupError("nowhere")

    async def through(inner):
        await inner

    assert asyncio.run(awaited(module.told_elsewhere(wrong()))) == "LookupError: nowhere"
    assert asyncio.run(awaited(module.crosses_twice(through)))
    with pytest.raises(LookupError, match="nowhere"):
        asyncio.run(awaited(module.fetch(wrong())))


def test_exceptions_leave_nothing_behind(module):
    async def once():
        echo = module.echo()
        await anext(echo)
        with pytest.raises(TypeError):
            await echo.asend(1)
        with pytest.raises(KeyError):
            await echo.athrow(KeyError("x"))
        await module.sum(Numbers(1, end=["!"]))

    async def blocks(times):
        for _ in range(times):
            await once()
        gc.collect()
        return sys.getallocatedblocks()

    async def main():
        before = await blocks(20)
        return await blocks(200) - before

    assert asyncio.run(main()) < 100
