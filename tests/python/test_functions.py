"""Functions that the decorator returns: real functions, recognised by inspect, at home in classes."""

import asyncio
import functools
import inspect
import pickle
import sys
import types

import pytest
from driving import collect

ours = pytest.mark.only("decorated", "decorated_native", reason="about the decorator")


try:
    from async_generator import async_generator, isasyncgen, isasyncgenfunction, yield_
except ImportError:  # the oracle can be run alone
    pass
else:

    @async_generator
    async def decorated_at_module_level(first, second: int = 2, *rest, keyword="k", **others) -> int:
        """Documented."""
        await yield_((first, second, rest, keyword, others))

    @async_generator
    async def native_at_module_level(first, second: int = 2, *rest, keyword="k", **others) -> int:
        """Documented."""
        yield (first, second, rest, keyword, others)

    AT_MODULE_LEVEL = [decorated_at_module_level, native_at_module_level]


def module_level_functions():
    return AT_MODULE_LEVEL


def make(implementation):
    @implementation
    async def function(first, second=2, *rest, keyword="k", **others):
        """Documented."""
        yield first, second, rest, keyword, others

    return function


def test_it_is_a_real_function(implementation):
    function = make(implementation)
    assert type(function) is types.FunctionType
    assert inspect.isfunction(function)
    assert inspect.isroutine(function)
    assert callable(function)


@pytest.mark.seen(reason="inspect is asked")
def test_inspect_says_that_it_is_an_async_generator_function(implementation):
    function = make(implementation)
    assert inspect.isasyncgenfunction(function)
    assert not inspect.iscoroutinefunction(function)
    assert not inspect.isgeneratorfunction(function)
    assert function.__code__.co_flags & inspect.CO_ASYNC_GENERATOR
    assert not function.__code__.co_flags & inspect.CO_COROUTINE


def test_it_has_name_docstring_and_module_of_the_function(implementation):
    function = make(implementation)
    assert function.__name__ == "function"
    assert function.__qualname__ == "make.<locals>.function"
    assert function.__doc__ == "Documented."
    assert function.__module__ == __name__


def test_it_has_the_signature_of_the_function(implementation):
    function = make(implementation)
    assert str(inspect.signature(function)) == "(first, second=2, *rest, keyword='k', **others)"


def test_it_takes_every_kind_of_argument(implementation):
    function = make(implementation)
    assert collect(function(1)) == [(1, 2, (), "k", {})]
    assert collect(function(1, 3, 4, 5, keyword="x", other="y")) == [(1, 3, (4, 5), "x", {"other": "y"})]
    assert collect(function(first=1, second=3)) == [(1, 3, (), "k", {})]
    assert collect(function(*[1, 2], **{"keyword": 3})) == [(1, 2, (), 3, {})]


def test_it_takes_many_keyword_arguments(implementation):
    @implementation
    async def function(**keywords):
        yield keywords

    keywords = {f"name{number}": number for number in range(200)}
    assert collect(function(**keywords)) == [keywords]


@pytest.mark.parametrize("call", [lambda f: f(), lambda f: f(1, first=2)], ids=["missing", "twice"])
def test_argument_errors_are_the_functions_own(implementation, call):
    with pytest.raises(TypeError, match=r"function\(\) "):
        call(make(implementation))


@ours
def test_it_wraps_the_function(implementation):
    function = make(implementation)
    assert inspect.iscoroutinefunction(function.__wrapped__) or inspect.isasyncgenfunction(function.__wrapped__)
    assert function.__wrapped__.__name__ == "function"


def test_source_and_signature_are_found():
    for function in module_level_functions():
        assert "Documented." in inspect.getsource(function)
        signature = inspect.signature(function)
        assert str(signature) == "(first, second: int = 2, *rest, keyword='k', **others) -> int"
        assert function.__annotations__ == {"second": int, "return": int}
        assert inspect.unwrap(function) is function.__wrapped__


def test_it_is_pickled_by_name():
    for function in module_level_functions():
        assert pickle.loads(pickle.dumps(function)) is function


def test_attributes_of_the_function_are_kept():
    async def function():
        await yield_()

    function.mark = "kept"
    decorated = async_generator(function)
    assert decorated.mark == "kept"
    decorated.other = 1
    assert decorated.other == 1
    assert not hasattr(function, "other")


@ours
def test_other_projects_recognise_it_by_its_id(implementation):
    function = make(implementation)
    assert function._async_gen_function == id(function)  # trio, 1.10 fact Z5


def test_isasyncgenfunction_knows_ours_and_natives(implementation):
    import async_generator

    function = make(implementation)
    assert async_generator.isasyncgenfunction(function)
    assert async_generator.isasyncgen(function(1))
    assert not async_generator.isasyncgen(function)
    assert not async_generator.isasyncgenfunction(function(1))


def test_isasyncgen_takes_any_object():
    for object_ in (None, 5, "text", [], object(), int, print, len, asyncio.sleep):
        assert isasyncgen(object_) is False
        assert isasyncgenfunction(object_) is False


def test_a_wrapper_is_not_an_async_generator_function(implementation):
    import async_generator

    function = make(implementation)

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    assert not async_generator.isasyncgenfunction(wrapper)  # 1.10 fact A4
    assert not inspect.isasyncgenfunction(wrapper)
    assert async_generator.isasyncgenfunction(wrapper.__wrapped__)
    assert collect(wrapper(1)) == [(1, 2, (), "k", {})]


@pytest.mark.seen(reason="inspect is asked")
def test_partial_of_it_is_an_async_generator_function(implementation):
    import async_generator

    partial = functools.partial(make(implementation), 1, keyword="p")
    assert inspect.isasyncgenfunction(partial)
    assert collect(partial(5)) == [(1, 5, (), "p", {})]
    assert collect(functools.partial(partial, 6)()) == [(1, 6, (), "p", {})]
    assert async_generator.isasyncgenfunction(partial)


class Base:
    pass


def class_with(implementation):
    class Reader(Base):
        name = "class"

        def __init__(self):
            self.name = "instance"

        @implementation
        async def method(self, argument):
            yield self.name, argument

        @staticmethod
        @implementation
        async def static(argument):
            yield "static", argument

        @classmethod
        @implementation
        async def of_class(cls, argument):
            yield cls.name, argument

    return Reader


METHODS = {"method": ("instance", 1), "static": ("static", 1), "of_class": ("class", 1)}


@pytest.mark.seen(reason="inspect is asked")
@pytest.mark.parametrize("name", METHODS)
def test_methods_of_every_kind(implementation, name):
    import async_generator

    class_ = class_with(implementation)
    instance = class_()
    method = getattr(instance, name)
    assert collect(method(1)) == [METHODS[name]]
    assert inspect.isasyncgenfunction(method)
    assert not inspect.iscoroutinefunction(method)
    assert async_generator.isasyncgenfunction(method)
    assert async_generator.isasyncgenfunction(getattr(class_, name))
    assert str(inspect.signature(method)) == "(argument)"


def test_bound_methods_are_methods(implementation):
    class_ = class_with(implementation)
    instance = class_()
    assert inspect.ismethod(instance.method)
    assert instance.method.__self__ is instance
    assert instance.method == instance.method
    assert collect(class_.method(instance, 2)) == [("instance", 2)]


@pytest.mark.seen(reason="inspect is asked")
@pytest.mark.parametrize("wrapper", [staticmethod, classmethod])
def test_the_decorator_may_be_outermost(wrapper):
    arguments = "cls, argument" if wrapper is classmethod else "argument"
    for syntax in ("await yield_(argument)", "yield argument"):
        namespace = {"yield_": yield_, "async_generator": async_generator, "wrapper": wrapper}
        exec(
            f"class Reader:\n    @async_generator\n    @wrapper\n    async def lines({arguments}):\n        {syntax}\n",
            namespace,
        )
        reader = namespace["Reader"]
        for owner in (reader, reader()):
            assert collect(owner.lines(5)) == [5]
            assert isasyncgenfunction(owner.lines)
            assert inspect.isasyncgenfunction(owner.lines)


def test_super_and_class_cells_work(implementation):
    class Parent:
        @implementation
        async def items(self):
            yield "parent"

    class Child(Parent):
        @implementation
        async def items(self):
            async for item in super().items():
                yield "child of " + item
            yield __class__

    assert collect(Child().items()) == ["child of parent", Child]


def test_abstract_methods_stay_abstract(implementation):
    import abc

    class Reader(abc.ABC):
        @abc.abstractmethod
        @implementation
        async def lines(self):
            yield

    with pytest.raises(TypeError, match="abstract"):
        Reader()


def test_closures_see_changes(implementation):
    count = 0

    @implementation
    async def body():
        nonlocal count
        while count < 3:
            count += 1
            yield count

    assert collect(body()) == [1, 2, 3]
    assert count == 3


# --- callables that are no plain functions ---


def test_partials_and_callable_objects_can_be_decorated():
    async def body(first, second):
        await yield_((first, second))

    async def native(first, second):
        yield (first, second)

    class Callable:
        async def __call__(self, first, second):
            await yield_((first, second))

    class NativeCallable:
        async def __call__(self, first, second):
            yield (first, second)

    for callable_ in (
        functools.partial(body, 1),
        functools.partial(native, 1),
        functools.partial(Callable(), 1),
        functools.partial(NativeCallable(), 1),
    ):
        assert collect(async_generator(callable_)(2)) == [(1, 2)]
    with pytest.raises(TypeError, match="decorate the async generator function itself"):
        async_generator(lambda: native(1, 2))()  # a native generator is there already; nothing can be made of it
    for callable_ in (Callable(), NativeCallable()):
        assert collect(async_generator(callable_)(1, 2)) == [(1, 2)]


def test_lambdas_and_wrapped_coroutine_functions_can_be_decorated():
    async def body(argument):
        await yield_(argument)

    @functools.wraps(body)
    def wrapper(argument):
        return body(argument + 1)

    assert collect(async_generator(lambda: body(1))()) == [1]
    assert collect(async_generator(wrapper)(1)) == [2]


@pytest.mark.cpython(reason="other interpreters copy the defaults of a function")
def test_changing_defaults_of_the_wrapped_function_has_effect():
    async def body(argument=1):
        await yield_(argument)

    decorated = async_generator(body)
    body.__defaults__ = (2,)
    assert collect(decorated()) == [2]


@pytest.mark.skipif(sys.version_info[:2] == (3, 11), reason="3.11 runs the code: it leaves defaults to the function")
def test_defaults_can_be_read():
    async def body(argument=1, *, keyword=2):
        await yield_((argument, keyword))

    def plain(argument=1, *, keyword=2):
        return body(argument, keyword=keyword)

    for function in (body, plain):
        decorated = async_generator(function)
        assert (decorated.__defaults__, decorated.__kwdefaults__) == ((1,), {"keyword": 2})
        assert collect(decorated()) == [(1, 2)]


def test_decorating_the_same_function_twice_gives_two_functions():
    async def body():
        await yield_(1)

    first, second = async_generator(body), async_generator(body)
    assert first is not second
    assert collect(first()) == collect(second()) == [1]
    assert first._async_gen_function != second._async_gen_function


def test_the_native_function_is_left_as_it_was():
    async def native():
        yield 1

    code = native.__code__
    decorated = async_generator(native)
    assert native.__code__ is code
    assert inspect.isasyncgenfunction(native)
    assert type(native()) is types.AsyncGeneratorType
    assert type(decorated()) is not types.AsyncGeneratorType
    assert collect(native()) == collect(decorated()) == [1]


def _with_closure(item, result=None):
    async def body(argument="argument", *, keyword="keyword"):
        await yield_(item)
        await yield_((argument, keyword))
        return result

    return body


@pytest.mark.parametrize("free", [1, 254, 255, 256])
def test_a_copy_made_of_code_and_closure_is_an_async_generator_function(free):
    # The usual recipe, "copy a function"; the copy has no entry point of ours.
    names = [f"name{number}" for number in range(free)]
    source = f"def make({', '.join(names)}):\n  async def body(): await yield_([{', '.join(names)}])\n  return body\n"
    scope = {"yield_": yield_}
    exec(source, scope)
    decorated = async_generator(scope["make"](*range(free)))
    copy = types.FunctionType(
        decorated.__code__, decorated.__globals__, "copy", decorated.__defaults__, decorated.__closure__
    )
    assert collect(decorated()) == [list(range(free))]
    assert collect(copy()) == [list(range(free))]


class _Callable:
    async def __call__(self, argument="argument", *, keyword="keyword"):
        await yield_("item")
        await yield_((argument, keyword))


@pytest.mark.parametrize("kind", ["function", "partial", "method", "object", "lambda", "plain function with defaults"])
def test_a_copy_of_every_kind_gives_the_same_items(kind):
    body = _with_closure("item")

    def plain(argument="argument", *, keyword="keyword"):
        return body(argument, keyword=keyword)

    callables = {
        "function": body,
        "partial": functools.partial(body),
        "method": _Callable().__call__,
        "object": _Callable(),
        "lambda": lambda *args, **kwds: body(*args, **kwds),
        "plain function with defaults": plain,
    }
    decorated = async_generator(callables[kind])
    copy = types.FunctionType(
        decorated.__code__, decorated.__globals__, "copy", decorated.__defaults__, decorated.__closure__
    )
    copy.__kwdefaults__ = decorated.__kwdefaults__
    for _ in range(20):  # the interpreter gets to know its calls
        assert collect(copy()) == collect(decorated()) == ["item", ("argument", "keyword")]
        assert collect(copy(1, keyword=2)) == ["item", (1, 2)]


def test_a_function_without_its_factory_says_so():
    decorated = async_generator(_with_closure("item"))
    cell = decorated.__closure__[-1]
    factory = cell.cell_contents
    for wrong in (None, 5, decorated):
        cell.cell_contents = wrong
        with pytest.raises((RuntimeError, TypeError, RecursionError)):
            decorated()
    del cell.cell_contents
    with pytest.raises((RuntimeError, NameError)):
        decorated()
    cell.cell_contents = factory
    assert collect(decorated()) == ["item", ("argument", "keyword")]


def test_functions_are_collected_like_others():
    import gc
    import weakref

    async def body():
        await yield_(1)

    decorated = async_generator(body)
    collect(decorated())
    gone = weakref.ref(body), weakref.ref(decorated)
    del body, decorated
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
