"""Decorated functions that are pickled by value, by cloudpickle and dill, and by name: in another process they are the same."""

import subprocess
import sys
import textwrap

import pytest

FUNCTIONS = """
    import functools, inspect, sys
    from async_generator import async_generator, yield_, yield_from_

    STEP = 10

    @async_generator
    async def numbers(count):
        for number in range(count):
            (YIELD(number + STEP))
        RETURN("result")

    @async_generator
    async def with_defaults(first, second="second", *rest, keyword="keyword", **others):
        (YIELD((first, second, rest, keyword, others)))

    @async_generator
    async def recursive(depth):
        (YIELD(depth))
        if depth:
            await yield_from_(recursive(depth - 1))

    @async_generator
    async def delegating():
        (YIELD(await yield_from_(numbers(1))))

    def make(offset):
        @async_generator
        async def closure(argument=1, *, keyword=2):
            (YIELD((offset, argument, keyword)))

        @async_generator
        async def calls_itself(depth):
            (YIELD(depth + offset))
            if depth:
                await yield_from_(calls_itself(depth - 1))

        return closure, calls_itself

    class Base:
        @async_generator
        async def items(self):
            (YIELD("base"))

    class Derived(Base):
        @async_generator
        async def items(self):
            await yield_from_(super().items())
            (YIELD(self.number))

        @staticmethod
        @async_generator
        async def static():
            (YIELD("static"))

        @classmethod
        @async_generator
        async def of_class(cls):
            (YIELD(cls.__name__))

        number = 5

    @async_generator
    def plain(argument="default"):
        return body(argument)

    async def body(argument):
        await yield_(argument)

    def wrapped_by(function):
        @functools.wraps(function)
        def wrapper(*arguments):
            return function(*arguments)
        return wrapper

    async def consumer():
        return [item async for item in numbers(2)]

    closure, calls_itself = make(100)
    CASES = {
        "function": (numbers, (3,), [10, 11, 12], "result"),
        "defaults": (with_defaults, (1,), [(1, "second", (), "keyword", {})], None),
        "many arguments": (with_defaults, (1, 2, 3, 4), [(1, 2, (3, 4), "keyword", {})], None),
        "recursive": (recursive, (2,), [2, 1, 0], None),
        "delegating": (delegating, (), [10, "result"], None),
        "closure": (closure, (), [(100, 1, 2)], None),
        "recursive closure": (calls_itself, (1,), [101, 100], None),
        "method": (Derived().items, (), ["base", 5], None),
        "static method": (Derived.static, (), ["static"], None),
        "class method": (Derived.of_class, (), ["Derived"], None),
        "partial": (functools.partial(numbers, 1), (), [10], "result"),
        "plain function": (plain, (), ["default"], None),
        "wrapper": (wrapped_by(numbers), (1,), [10], "result"),
        "class": (Derived, None, ["base", 5], None),
    }
"""

DUMP = """
    if __name__ == "__main__":
        import PICKLER
        with open("pickled", "wb") as file:
            PICKLER.dump({name: PICKLER.dumps(case) for name, case in CASES.items()}, file)
            PICKLER.dump(PICKLER.dumps(consumer), file)
"""

LOAD = """
    import functools, inspect, pickle, sys
    import PICKLER

    def run(awaitable):
        try:
            awaitable.__await__().send(None)
        except StopIteration as stop:
            return stop.value

    def collect(generator):
        items = []
        while True:
            try:
                items.append(run(generator.__anext__()))
            except StopAsyncIteration as stop:
                return items, (stop.args or [None])[0]

    with open("pickled", "rb") as file:
        cases, consumer = PICKLER.load(file), PICKLER.load(file)
    import async_generator
    for name, pickled in cases.items():
        for _ in range(2):
            function, arguments, items, result = PICKLER.loads(pickled)
            pickled = PICKLER.dumps((function, arguments, items, result))  # and once more, from what was loaded
            if name == "class":
                function, arguments = function().items, ()
            for _ in range(20):
                generator = function(*arguments)
                assert type(generator).__module__.startswith("async_generator"), (name, type(generator))
                assert collect(generator) == (items, RESULT), name
            if name != "wrapper":
                assert inspect.isasyncgenfunction(function), name
                assert async_generator.isasyncgenfunction(function), name
            inner = getattr(getattr(function, "func", function), "__func__", getattr(function, "func", function))
            if name == "wrapper":
                assert inner._async_gen_function == id(inner.__wrapped__) != id(inner)
            else:
                assert inner._async_gen_function == id(inner), name  # trio asks that
                assert inspect.isasyncgenfunction(inspect.unwrap(inner)) or name == "plain function", name
            if name == "defaults":
                assert str(inspect.signature(function)) == "(first, second='second', *rest, keyword='keyword', **others)"
                inner.__wrapped__.__defaults__ = ("changed",)
                assert collect(function(1))[0] == [(1, "changed", (), "keyword", {})]
                inner.__wrapped__.__defaults__ = ("second",)
    assert run(PICKLER.loads(consumer)()) == [10, 11]
    print("passed", len(cases))
"""


def program(text, syntax, pickler):
    text = textwrap.dedent(text).replace("PICKLER", pickler)
    native = syntax == "native"
    text = text.replace("(YIELD(", "(yield (" if native else "(await yield_(")
    text = text.replace('RETURN("result")', "pass" if native else 'return "result"')
    return text.replace("RESULT", "None" if native else "result").replace(
        '"result"]', "None]" if native else '"result"]'
    )


def run(tmp_path, *arguments):
    done = subprocess.run(
        [sys.executable, "-W", "error", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and done.stderr == "", done.stdout + done.stderr
    return done.stdout


@pytest.mark.seen(reason="inspect is asked")
@pytest.mark.parametrize("syntax", ["await", "native"])
@pytest.mark.parametrize("pickler", ["cloudpickle", "dill"])
def test_a_function_pickled_by_value_is_the_same_in_another_process(tmp_path, pickler, syntax):
    pytest.importorskip(pickler, reason=f"{pickler} is not there for this interpreter")
    (tmp_path / "dump.py").write_text(program(FUNCTIONS + DUMP, syntax, pickler))
    # dill leaves it to the other process to have the globals of __main__.
    load = FUNCTIONS + LOAD if pickler == "dill" else LOAD
    (tmp_path / "load.py").write_text(program(load, syntax, pickler))
    run(tmp_path, "dump.py")
    assert run(tmp_path, "load.py") == "passed 14\n"


def test_a_function_pickled_by_name_is_the_same_in_another_process(tmp_path):
    (tmp_path / "functions.py").write_text(program(FUNCTIONS, "await", "pickle"))
    (tmp_path / "dump.py").write_text(
        "import pickle, functions\n"
        "names = ['numbers', 'with_defaults', 'recursive', 'delegating', 'plain']\n"
        "values = [getattr(functions, name) for name in names] + [functions.Derived.static, functions.CASES['partial'][0]]\n"
        "with open('pickled', 'wb') as file:\n"
        "    pickle.dump((names, values), file)\n"
    )
    (tmp_path / "load.py").write_text(
        "import pickle\n"
        "with open('pickled', 'rb') as file:\n"
        "    names, values = pickle.load(file)\n"
        "import functions\n"
        "assert values[:-2] == [getattr(functions, name) for name in names]\n"
        "assert values[-2] is functions.Derived.static and values[-1].func is functions.numbers\n"
        "print('passed')\n"
    )
    run(tmp_path, "dump.py")
    assert run(tmp_path, "load.py") == "passed\n"


def test_the_identity_of_a_function_is_its_own_in_copies_too():
    import copy
    import pickle

    from async_generator import async_generator, yield_

    @async_generator
    async def function():
        await yield_()

    identity = function._async_gen_function
    assert identity == id(function) and repr(identity) == repr(id(function)) and isinstance(identity, int)
    assert copy.deepcopy(function.__dict__)["_async_gen_function"] == id(function)
    del function
    assert pickle.loads(pickle.dumps(identity)) == 0  # of nothing
