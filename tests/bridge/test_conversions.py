"""agen::python's own conversions, for modules that no binding tool made."""

import math
from pathlib import Path

import extensions
import pytest


@pytest.fixture(scope="module")
def raw():
    return extensions.load(Path(__file__).resolve().parent / "bodies", "bodies_raw", WITH_PYBIND11="ON")


def run(coroutine):
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it suspended")


def test_items_and_the_return_value(raw):
    async def main():
        numbers = raw.count(2)
        assert numbers.__name__ == numbers.__qualname__ == "count"
        assert [await anext(numbers), await anext(numbers)] == [0, 1]
        with pytest.raises(StopAsyncIteration) as stop:
            await anext(numbers)
        assert stop.value.args == ("counted",)

    run(main())


VALUES = {
    "mirror_bool": [False, True],
    "mirror_byte": [0, -128, 127],
    "mirror_unsigned": [0, 2**64 - 1],
    "mirror_double": [0.0, 1.5, -math.inf],
    "mirror_text": ["", "ü\0x"],
    "mirror_object": [print],
}
REFUSED = {
    "mirror_byte": [(128, OverflowError), ("text", TypeError), (1.5, TypeError)],
    "mirror_unsigned": [(-1, (OverflowError, TypeError)), (2**64, OverflowError)],
    "mirror_double": [("text", TypeError)],
    "mirror_text": [(b"bytes", TypeError)],
}


@pytest.mark.parametrize("name", VALUES)
def test_values_go_there_and_come_back(raw, name):
    async def main():
        mirror = getattr(raw, name)()
        first = await anext(mirror)
        assert first == VALUES[name][0] or (name == "mirror_object" and first is None)
        for value in VALUES[name]:
            got = await mirror.asend(value)
            assert got == value and type(got) is type(value)
        for value, error in REFUSED.get(name, []):
            with pytest.raises(error):
                await mirror.asend(value)
        assert await anext(mirror) == VALUES[name][-1], "what was refused changed nothing"
        await mirror.aclose()

    run(main())


def test_a_task_iterates_python(raw):
    async def numbers():
        yield 1
        yield 2.5

    assert run(raw.sum(numbers())) == 3.5
    with pytest.raises(TypeError, match="takes an async iterable, not int"):
        run(raw.sum(7))
