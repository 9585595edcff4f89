"""Who asks what a generator or a function is, gets the answer that a native one gives."""

import abc
import collections.abc
import copy
import cProfile
import functools
import inspect
import pickle
import pstats
import subprocess
import sys
import textwrap
import types
import unittest.mock

import pytest
from driving import collect, run

ours = pytest.mark.only("decorated", "decorated_native", reason="about the decorator")


def make(implementation):
    @implementation
    async def numbers(count=3):
        here = "local"
        for number in range(count):
            yield number
        del here

    return numbers


# --- generators ---


def test_a_generator_is_an_instance_of_the_native_type(implementation):
    generator = make(implementation)()
    assert inspect.isasyncgen(generator)
    assert isinstance(generator, types.AsyncGeneratorType)
    assert isinstance(generator, (int, types.AsyncGeneratorType))
    assert isinstance(generator, collections.abc.AsyncGenerator)
    assert isinstance(generator, collections.abc.AsyncIterator)
    assert generator.__class__ is types.AsyncGeneratorType
    assert (
        not inspect.isawaitable(generator) and not inspect.iscoroutine(generator) and not inspect.isgenerator(generator)
    )


@ours
def test_its_type_is_this_packages(implementation):
    from async_generator import _impl

    generator = make(implementation)()
    assert type(generator) is _impl.AsyncGenerator
    assert isinstance(generator, _impl.AsyncGenerator)
    assert not issubclass(_impl.AsyncGenerator, types.AsyncGeneratorType)

    class Registered(abc.ABC):  # noqa: B024
        pass

    Registered.register(_impl.AsyncGenerator)  # as trio-typing does
    assert isinstance(generator, Registered)


def test_dispatch_by_class_finds_the_native_type(implementation):
    @functools.singledispatch
    def kind(_):
        return "other"

    kind.register(types.AsyncGeneratorType, lambda _: "async generator")
    generator = make(implementation)()
    assert kind(generator) == "async generator"
    match generator:
        case types.AsyncGeneratorType():
            pass
        case _:
            pytest.fail("no async generator")


def test_its_class_cannot_be_changed(implementation):
    class Other:
        pass

    generator = make(implementation)()
    with pytest.raises(TypeError, match="__class__ assignment only supported for"):
        generator.__class__ = Other
    with pytest.raises(TypeError, match="__class__"):
        del generator.__class__
    assert collect(generator) == [0, 1, 2]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="inspect.getasyncgenstate() came with 3.12")
def test_inspect_shows_its_state_and_locals(implementation):
    generator = make(implementation)()
    assert inspect.getasyncgenstate(generator) == "AGEN_CREATED"
    assert inspect.getasyncgenlocals(generator) == {"count": 3}
    run(generator.__anext__())
    assert inspect.getasyncgenstate(generator) == "AGEN_SUSPENDED"
    assert inspect.getasyncgenlocals(generator) == {"count": 3, "here": "local", "number": 0}
    collect(generator)
    assert inspect.getasyncgenstate(generator) == "AGEN_CLOSED"
    assert inspect.getasyncgenlocals(generator) == {}


@pytest.mark.engine(reason="an object of a Python class has a __dict__ from the beginning")
def test_it_has_no_dict_before_an_attribute_is_set(implementation):
    generator = make(implementation)()
    assert not hasattr(generator, "__dict__")
    with pytest.raises(TypeError, match="vars"):
        vars(generator)  # FastAPI would make {} of an answer that has one
    assert "asend" in dir(generator)
    if implementation.ours:
        generator.attribute = 5
        assert vars(generator) == {"attribute": 5}
        generator.__dict__ = {"other": 6}
        assert generator.other == 6


def test_it_cannot_be_copied_or_pickled(implementation):
    generator = make(implementation)()
    for use in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot pickle 'async_generator' object"):
            use(generator)


@ours
def test_nothing_of_the_native_type_reads_it(implementation):
    generator = make(implementation)()
    run(generator.__anext__())
    asked = 0
    for name, attribute in vars(types.AsyncGeneratorType).items():
        if isinstance(attribute, (types.WrapperDescriptorType, types.MethodDescriptorType)):
            with pytest.raises(TypeError, match="async_generator"):
                attribute(generator)
        elif isinstance(attribute, (types.GetSetDescriptorType, types.MemberDescriptorType)):
            with pytest.raises(TypeError, match="async_generator"):
                attribute.__get__(generator)
        else:
            continue
        asked += name != ""
    assert asked >= 12
    bound = super(types.AsyncGeneratorType, generator)  # asks __class__
    assert bound.__repr__().startswith("<async_generator.") or "async_generator" in bound.__repr__()
    assert collect(generator) == [1, 2]


def test_httpx_does_not_send_a_used_up_body_again(implementation):
    httpx = pytest.importorskip("httpx", reason="httpx has no wheel for this interpreter")
    import asyncio

    @implementation
    async def body():
        for _ in range(3):
            yield b"data"

    class Transport(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            content = b"".join([part async for part in request.stream])
            if request.url.path == "/from":
                return httpx.Response(307, headers={"location": "/to"})
            return httpx.Response(200, text=str(len(content)))

    async def main():
        async with httpx.AsyncClient(transport=Transport(), base_url="http://host") as client:
            assert (await client.post("/to", content=body())).text == "12"
            with pytest.raises(httpx.StreamConsumed):
                await client.post("/from", content=body(), follow_redirects=True)

    asyncio.run(main())


# --- what is unwrapped ---


def test_a_mock_of_it_is_no_coroutine_function(implementation):
    class Client:
        @implementation
        async def rows(self):
            yield 1

        @staticmethod
        @implementation
        async def static():
            yield 1

        @classmethod
        @implementation
        async def of_class(cls):
            yield 1

    for mock in (
        unittest.mock.MagicMock(spec=Client),
        unittest.mock.MagicMock(spec_set=Client),
        unittest.mock.create_autospec(Client),
    ):
        for name in ("rows", "static", "of_class"):
            assert not isinstance(getattr(mock, name), unittest.mock.AsyncMock)
            assert not inspect.iscoroutine(getattr(mock, name)())


def chain(function):
    """What an unwrapper sees, one after the other."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
        yield function


def test_no_unwrapped_function_is_a_coroutine_function():
    from async_generator import async_generator, yield_

    async def body(argument=1):
        """Documented."""
        await yield_(argument)

    def wrapping(function):
        @functools.wraps(function)
        async def wrapper(*arguments):
            return await function(*arguments)

        return wrapper

    def plain(function):
        @functools.wraps(function)
        def wrapper(*arguments):
            return function(*arguments)

        return wrapper

    class Class:
        async def method(self):
            await yield_(1)

    before = body.__code__
    for function in (
        body,
        wrapping(body),
        wrapping(wrapping(body)),
        plain(body),
        plain(wrapping(plain(body))),
        functools.partial(body),
        functools.partial(functools.partial(body)),
        functools.partial(wrapping(body)),
        Class().method,
        functools.partial(Class().method),
    ):
        decorated = async_generator(function)
        seen = list(chain(decorated))
        assert seen and not any(map(inspect.iscoroutinefunction, seen)), (function, seen)
        assert inspect.isasyncgenfunction(inspect.unwrap(decorated)), function
        assert collect(decorated()) == [1]
        assert inspect.signature(decorated) == inspect.signature(function)
        if not isinstance(function, (functools.partial, types.MethodType)):
            assert inspect.getdoc(decorated.__wrapped__) == "Documented."
    assert inspect.iscoroutinefunction(body) and body.__code__ is before and not hasattr(body, "__wrapped__")


def test_a_circle_of_wrapped_functions_can_be_decorated():
    from async_generator import async_generator, yield_

    async def body():
        await yield_(1)

    body.__wrapped__ = body
    assert collect(async_generator(body)()) == [1]


@ours
def test_the_unwrapped_function_shows_what_was_written(implementation):
    function = make(implementation)
    unwrapped = inspect.unwrap(function)
    assert unwrapped is function.__wrapped__
    for attribute in (
        "__name__",
        "__qualname__",
        "__module__",
        "__doc__",
        "__defaults__",
        "__kwdefaults__",
        "__annotations__",
    ):
        assert getattr(unwrapped, attribute) == getattr(function, attribute)
    code = unwrapped.__code__
    assert (code.co_filename, code.co_name, code.co_varnames) == (__file__, "numbers", ("count", "here", "number"))
    assert "async def numbers" in inspect.getsource(function)


@ours
def test_code_and_defaults_of_the_unwrapped_function_count(implementation):
    @implementation
    async def other(count=3):
        yield ("other", count)

    function = make(implementation)
    assert collect(function()) == [0, 1, 2]
    function.__wrapped__.__defaults__ = (2,)
    assert collect(function()) == [0, 1]
    code = function.__wrapped__.__code__
    function.__wrapped__.__code__ = other.__wrapped__.__code__
    assert collect(function()) == [("other", 2)]
    assert collect(function(5)) == [("other", 5)]
    function.__wrapped__.__code__ = code
    assert collect(function(1)) == [0]


def test_code_and_defaults_of_the_decorated_function_count():
    from async_generator import async_generator, yield_

    async def body(argument=1, *, keyword="keyword"):
        await yield_((argument, keyword))

    async def other(argument=1, *, keyword="keyword"):
        await yield_(("other", argument, keyword))

    decorated = async_generator(body)
    face = decorated.__wrapped__
    assert collect(decorated()) == [(1, "keyword")]
    for step in range(3):
        body.__defaults__ = (("body", step),)
        assert collect(decorated()) == [(("body", step), "keyword")]
        assert face.__defaults__ is body.__defaults__
        face.__defaults__ = (("face", step),)
        assert collect(decorated()) == [(("face", step), "keyword")]
        assert face.__defaults__ is body.__defaults__
        face.__kwdefaults__ = {"keyword": step}
        assert collect(decorated()) == [(("face", step), step)]
        body.__kwdefaults__ = {"keyword": "keyword"}
        assert collect(decorated()) == [(("face", step), "keyword")]
    written, body.__code__ = body.__code__, other.__code__
    assert collect(decorated(1)) == [("other", 1, "keyword")]
    assert inspect.isasyncgenfunction(face) and face.__code__.co_consts == other.__code__.co_consts
    body.__code__ = written
    assert collect(decorated(1)) == [(1, "keyword")]
    face.__code__ = async_generator(other).__wrapped__.__code__
    assert collect(decorated(1)) == [("other", 1, "keyword")]
    assert inspect.iscoroutinefunction(body)


# --- what is shown of a function, on 3.11 too, where a function that calls runs in its place ---


def of_many_parameters(implementation):
    @implementation
    async def function(first, /, second=2, *rest, keyword="k", needed, **others):
        yield first, second, rest, keyword, needed, others

    return function


def test_parameters_and_defaults_are_shown(implementation):
    function = of_many_parameters(implementation)
    specification = inspect.getfullargspec(function)
    assert specification[:6] == (["first", "second"], "rest", "others", (2,), ["keyword", "needed"], {"keyword": "k"})
    assert function.__defaults__ == (2,) and function.__kwdefaults__ == {"keyword": "k"}
    assert (2,) == function.__defaults__ and {"keyword": "k"} == function.__kwdefaults__  # noqa: SIM300
    code = function.__code__
    assert (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount) == (2, 1, 2)
    assert code.co_varnames[:6] == ("first", "second", "keyword", "needed", "rest", "others")
    assert str(inspect.signature(function, follow_wrapped=False)) == str(inspect.signature(function))
    assert inspect.getcallargs(function, 1, needed=2) == {
        "first": 1,
        "second": 2,
        "keyword": "k",
        "needed": 2,
        "rest": (),
        "others": {},
    }


def test_defaults_as_a_tuple_and_a_dict(implementation):
    function = of_many_parameters(implementation)
    defaults, by_keyword = function.__defaults__, function.__kwdefaults__
    assert (len(defaults), defaults[0], defaults[-1], defaults[:], list(defaults)) == (1, 2, 2, (2,), [2])
    assert 2 in defaults and 3 not in defaults and defaults != (3,) and hash(defaults) == hash((2,))
    assert defaults + (3,) == (2, 3) and (1,) + defaults == (1, 2) and tuple(defaults) == (*defaults,) == (2,)
    assert repr(defaults) == "(2,)" and isinstance(defaults, tuple) and bool(defaults)
    assert (
        defaults.index(2) == 0 and defaults.count(2) == 1 and defaults * 2 == (2, 2) and list(reversed(defaults)) == [2]
    )
    assert defaults < (3,) and defaults <= (2,) and defaults >= (2,) and defaults > (1,)
    assert (len(by_keyword), by_keyword["keyword"], by_keyword.get("keyword"), by_keyword.get("other", 1)) == (
        1,
        "k",
        "k",
        1,
    )
    assert list(by_keyword) == list(by_keyword.keys()) == ["keyword"] and list(by_keyword.values()) == ["k"]
    assert list(by_keyword.items()) == [("keyword", "k")] and "keyword" in by_keyword and "other" not in by_keyword
    assert dict(by_keyword) == by_keyword.copy() == {**by_keyword} == {"keyword": "k"} == by_keyword | {}
    assert {} | by_keyword == {"keyword": "k"} and by_keyword != {} and repr(by_keyword) == "{'keyword': 'k'}"
    assert copy.copy(defaults) == copy.deepcopy(defaults) == (2,) and copy.deepcopy(by_keyword) == {"keyword": "k"}


def test_every_way_to_leave_out_and_give_arguments(implementation):
    @implementation
    async def function(a="a", b="b", *rest, c="c", d="d", **others):
        yield a, b, rest, c, d, others

    for _ in range(20):  # the interpreter gets to know its calls
        assert collect(function()) == [("a", "b", (), "c", "d", {})]
        assert collect(function(b=1)) == [("a", 1, (), "c", "d", {})]
        assert collect(function(1)) == [(1, "b", (), "c", "d", {})]
        assert collect(function(1, d=2)) == [(1, "b", (), "c", 2, {})]
        assert collect(function(1, 2, 3, c=4, e=5)) == [(1, 2, (3,), 4, "d", {"e": 5})]
        assert collect(function("a", "b", c="c")) == [("a", "b", (), "c", "d", {})]


@pytest.mark.without("decorated_native", "decorated", reason="their defaults are those of the wrapped function")
def test_own_defaults_count(implementation):
    function = make(implementation)
    function.__defaults__ = (1,)
    assert collect(function()) == [0]


def test_the_cells_of_the_function_are_shown(implementation):
    class Base:
        def items(self):
            return "base"

    class Slotted(Base):
        @implementation
        async def rows(self):
            yield super().items()

    class Replaced(Base):  # as attrs does for slots=True
        rows = Slotted.rows

    cells = [cell for cell in Slotted.rows.__closure__ if cell.cell_contents is Slotted]
    assert len(cells) == 1
    assert dict(zip(Slotted.rows.__code__.co_freevars, Slotted.rows.__closure__, strict=True))["__class__"] is cells[0]
    cells[0].cell_contents = Replaced
    assert collect(Replaced().rows()) == ["base"]


def test_attrs_replaces_the_class_that_super_looks_into(implementation):
    attrs = pytest.importorskip("attrs", reason="trio brings it")

    @attrs.define
    class Base:
        count: int

        @implementation
        async def rows(self, first=0):
            for number in range(first, self.count):
                yield number

    @attrs.define
    class Derived(Base):
        @implementation
        async def rows(self, first=1):
            async for number in super().rows(first):
                yield number + 10

    assert collect(Derived(3).rows()) == [11, 12]


def test_a_profile_counts_the_resumptions_of_the_body(implementation):
    @implementation
    async def profiled(count=0):
        for number in range(count):
            yield number

    profile = cProfile.Profile()
    profile.enable()
    collect(profiled(50))
    profile.disable()
    calls = {key[2]: value[1] for key, value in pstats.Stats(profile).stats.items()}
    assert calls["profiled"] >= 51


# --- trio ---


@pytest.mark.parametrize("order", ["above", "below"])
@pytest.mark.parametrize("rule", ["enable_ki_protection", "disable_ki_protection"])
def test_trios_protection_from_keyboard_interrupts_holds_in_the_body(implementation, rule, order):
    import trio

    rule, expected = getattr(trio.lowlevel, rule), rule == "enable_ki_protection"
    protected = trio.lowlevel.currently_ki_protected

    def decorate(function):
        return rule(implementation(function)) if order == "above" else implementation_of(implementation, rule, function)

    @decorate
    async def body(argument=1):
        yield protected()
        try:
            yield protected()
        finally:
            seen.append(protected())

    seen = []

    async def main():
        before = protected()
        async for inside in body():
            seen.append(inside)
            assert protected() is before

    trio.run(main)
    assert seen == [expected] * 3


def implementation_of(implementation, rule, function):
    """The implementation's decorator on top of a rule."""
    decorated = implementation(function)
    if not hasattr(decorated, "__wrapped__"):
        return rule(decorated)
    from async_generator import async_generator

    written = decorated.__wrapped__
    kind = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
    if implementation.name == "decorated":
        code = written.__code__
        written = types.FunctionType(
            code.replace(co_flags=code.co_flags & ~kind | inspect.CO_COROUTINE),
            written.__globals__,
            written.__name__,
            written.__defaults__,
            written.__closure__,
        )
    return async_generator(rule(written))


@pytest.mark.parametrize("syntax", ["await yield_", "yield "])
def test_ctrl_c_waits_for_the_end_of_a_protected_body(tmp_path, syntax):
    program = textwrap.dedent("""
        import os, signal, trio
        from async_generator import async_generator, yield_

        log = []

        @trio.lowlevel.enable_ki_protection
        @async_generator
        async def critical():
            log.append("begin")
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(1000):
                pass
            log.append("commit")
            SYNTAX(1)

        async def main():
            async for _ in critical():
                await trio.lowlevel.checkpoint()

        try:
            trio.run(main)
        except KeyboardInterrupt:
            log.append("interrupted")
        print(*log)
    """).replace("SYNTAX", syntax)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.stdout == "begin commit interrupted\n", done.stderr
