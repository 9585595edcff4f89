"""What a C++ generator or task refers to lives as long as it does: its object, its arguments, what was converted for the call."""

import asyncio
import errno
import gc
import weakref

import pytest

TEXT = "a text that no small buffer holds"


@pytest.fixture(autouse=True)
def nothing_is_left(arguments):
    yield
    gc.collect()
    assert arguments.alive() == 0


def run(coroutine):
    return asyncio.run(coroutine)


async def rest(generator):
    return [item async for item in generator]


def overwrite(arguments):
    """Takes memory of the sizes that were just freed."""
    return [arguments.Model("Z" * size) for size in range(16, 64)], [str(i) * 20 for i in range(200)]


async def after_its_arguments_died(arguments, generator):
    """What it yields, with everything else that was there at its call gone."""
    first = await anext(generator)
    gc.collect()
    junk = overwrite(arguments)
    items = [first, *await rest(generator)]
    del junk
    return items


# The object of a member function -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["tokens", "tokens_const", "tokens_by_lambda", "tokens_without_the_gil"])
@pytest.mark.parametrize("of", ["Model", "Derived"])
def test_a_generator_keeps_the_object_whose_member_it_is(arguments, method, of):
    async def main():
        make = getattr(arguments, of)
        assert await after_its_arguments_died(arguments, getattr(make(TEXT), method)(3)) == [
            TEXT + "0",
            TEXT + "1",
            TEXT + "2",
        ]
        model = make(TEXT)
        generator = getattr(model, method)(2)
        assert await anext(generator) == TEXT + "0"
        del model
        assert await after_its_arguments_died(arguments, generator) == [TEXT + "1"]

    run(main())


def test_a_property_that_is_a_generator_keeps_its_object(arguments):
    assert run(after_its_arguments_died(arguments, arguments.Model(TEXT).two)) == [TEXT + "0", TEXT + "1"]


def test_a_subclass_in_python_is_kept(arguments):
    class Own(arguments.Model):
        pass

    assert run(after_its_arguments_died(arguments, Own(TEXT).tokens(2))) == [TEXT + "0", TEXT + "1"]


def test_a_base_that_begins_elsewhere_in_the_object_is_kept(arguments):
    if not hasattr(arguments, "Shifted"):
        pytest.skip("nanobind has no multiple inheritance")
    assert run(after_its_arguments_died(arguments, arguments.Shifted(TEXT).tokens(2))) == [TEXT + "0", TEXT + "1"]
    assert run(after_its_arguments_died(arguments, arguments.by_reference(arguments.Shifted(TEXT)))) == [TEXT, TEXT]


def test_a_task_keeps_its_object(arguments):
    async def main():
        event = asyncio.Event()
        waiting = asyncio.ensure_future(arguments.Model(TEXT).answer(event.wait()))
        await asyncio.sleep(0)
        gc.collect()
        junk = overwrite(arguments)
        event.set()
        assert await waiting == TEXT
        del junk

    run(main())


@pytest.mark.parametrize("end", ["exhausted", "closed", "dropped", "never begun"])
def test_the_object_is_let_go_at_the_end_of_the_body(arguments, end):
    async def main():
        generator = arguments.Model(TEXT).tokens(1)
        if end != "never begun":
            await anext(generator)
        assert arguments.alive() == 1
        if end == "exhausted":
            assert await rest(generator) == []
        elif end == "closed":
            await generator.aclose()
        else:
            del generator
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert arguments.alive() == 0

    run(main())


@pytest.mark.parametrize("begun", [False, True])
def test_a_cycle_of_an_object_and_its_generator_is_collected(arguments, begun):
    def make():
        model = arguments.Model(TEXT)
        model.generator = model.tokens(3)
        if begun:
            with pytest.raises(StopIteration):
                model.generator.__anext__().send(None)
        return weakref.ref(model.generator)

    generator = make()
    gc.collect()
    assert generator() is None and arguments.alive() == 0


def test_a_cycle_of_an_object_and_its_task_is_collected(arguments):
    async def main():
        model = arguments.Model(TEXT)
        model.task = arguments.Model(TEXT).answer(asyncio.sleep(0))
        model.own = model.answer(model.task)
        model.own.send(None)

    run(main())
    gc.collect()
    assert arguments.alive() == 0


def test_a_generator_that_is_moved_into_cpp_keeps_its_object(arguments):
    async def main():
        model = arguments.Model(TEXT)
        generator = model.tokens(3)
        assert await anext(generator) == TEXT + "0"
        taken = arguments.taken(generator)
        del model, generator
        assert await after_its_arguments_died(arguments, taken) == [TEXT + "1", TEXT + "2"]

    run(main())


# What a body iterates -----------------------------------------------------------------------------------------------------


def test_a_cycle_through_what_a_body_iterates_is_collected(arguments):
    class Source:
        def __aiter__(self):
            return self

        async def __anext__(self):
            return "item"

    source = Source()
    source.generator = arguments.taken(source)
    with pytest.raises(StopIteration, match="item"):
        source.generator.__anext__().send(None)
    died = weakref.ref(source)
    del source
    gc.collect()
    assert died() is None


def test_a_task_that_iterates_through_cpp_is_collected_when_its_loop_is_gone(arguments):
    async def waits(future):
        await future
        yield "item"

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # it is destroyed while it is pending, as it should
    generator = arguments.taken(waits(loop.create_future()))
    task = loop.create_task(rest(generator))
    loop.call_soon(loop.call_soon, loop.stop)
    loop.run_forever()
    assert generator.ag_running
    loop.close()
    died = weakref.ref(task), weakref.ref(generator)
    del task, generator
    gc.collect()
    assert [reference() for reference in died] == [None, None]


def test_what_a_body_gave_away_is_not_collected_with_it(arguments):
    class Source:
        item = None

        def __aiter__(self):
            return self

        async def __anext__(self):
            return self.item

    def step(generator):  # no event loop, whose finalizer would hold the giver
        with pytest.raises(StopIteration) as stop:
            generator.__anext__().send(None)
        return stop.value.value

    source = Source()
    source.item = "item"
    giver = source.giver = arguments.gives_away(source)
    given = step(giver)
    held = weakref.ref(giver)  # by the source, which the given one iterates
    del source, giver
    gc.collect()
    assert held() is not None and held().ag_state == "AGEN_SUSPENDED"
    assert step(given) == "item"


# Other arguments ---------------------------------------------------------------------------------------------------------


def test_objects_that_are_passed_by_reference_or_pointer_are_kept(arguments):
    async def main():
        for make in (arguments.Model, arguments.Derived):
            for generator in (
                arguments.by_reference(make(TEXT)),
                arguments.by_const_reference(1, make(TEXT)),
                arguments.by_pointer(1, make(TEXT)),
                arguments.shared_by_reference(make(TEXT)),
            ):
                assert await after_its_arguments_died(arguments, generator) == [TEXT, TEXT]
            both = arguments.by_two(make(TEXT), make("and another"))
            assert await after_its_arguments_died(arguments, both) == [TEXT + "and another"] * 2
        assert await rest(arguments.by_pointer(1, None)) == ["nothing", "nothing"]

    run(main())


def test_an_object_that_is_made_for_the_call_is_kept(arguments):
    """nanobind and pybind11 drop what an implicit conversion makes when the call is over."""
    assert run(after_its_arguments_died(arguments, arguments.by_const_reference(1, TEXT))) == [TEXT, TEXT]


@pytest.mark.parametrize(
    "name",
    ["text_by_reference", "text_by_rvalue", "text_by_view", "text_by_pointer", "maybe_by_reference", "overloaded"],
)
def test_text_that_is_converted_for_the_call_is_kept(arguments, name):
    async def main():
        text = "".join(["made ", "at run time, ", "and longer than any small buffer"])
        generator = getattr(arguments, name)("".join(text))
        copy = str(bytes(text, "ascii"), "ascii")
        del text
        assert await after_its_arguments_died(arguments, generator) == [copy, copy]

    run(main())


def test_what_is_converted_for_the_call_is_kept_without_the_gil_too(arguments):
    assert run(after_its_arguments_died(arguments, arguments.text_without_the_gil(TEXT + "!"))) == [TEXT + "!"] * 2


def test_other_values_that_are_converted_for_the_call_are_kept(arguments):
    async def main():
        words = [TEXT + str(i) for i in range(3)]
        assert await after_its_arguments_died(arguments, arguments.numbers_by_reference(list(words))) == words
        assert await after_its_arguments_died(arguments, arguments.number_by_reference(123456)) == ["123456"] * 2
        assert await rest(arguments.maybe_by_reference(None)) == ["nothing"] * 2

    run(main())


@pytest.mark.parametrize("name", ["object_by_reference", "handle_by_value"])
def test_python_objects_that_are_borrowed_are_kept(arguments, name):
    async def main():
        class Own:
            pass

        generator = getattr(arguments, name)(Own())
        kept = weakref.ref(await anext(generator))
        gc.collect()
        assert kept() is not None
        assert [type(item) for item in await rest(generator)] == [Own]
        assert kept() is None

    run(main())


def test_a_task_keeps_what_was_converted_for_its_call(arguments):
    async def main():
        event = asyncio.Event()
        waiting = asyncio.ensure_future(arguments.task_by_reference(TEXT + "?", event.wait()))
        await asyncio.sleep(0)
        junk = overwrite(arguments)
        event.set()
        assert await waiting == TEXT + "?"
        del junk

    run(main())


# Thrown at the call ------------------------------------------------------------------------------------------------------

RAISED = {
    "system_error": (FileNotFoundError, "opening"),
    "out_of_range": (IndexError, "out"),
    "already_running": ("AlreadyRunning", "running"),
    "translated": (KeyError, "translated"),
    "ZeroDivisionError": (ZeroDivisionError, "division"),
    "int": (RuntimeError, ""),
    "of the tool": (LookupError, "of the tool"),
    "index_error": (IndexError, "index"),
    "other": (RuntimeError, "other"),
}


@pytest.mark.parametrize("name", [*RAISED, "own_error"])
@pytest.mark.parametrize("kind", ["", "task_"], ids=["generator", "task"])
def test_what_is_thrown_at_the_call_is_raised_as_what_is_thrown_in_the_body(arguments, name, kind):
    async def later():
        if kind:
            await arguments.task_raises_later(name)
        else:
            await anext(arguments.raises_later(name))

    with pytest.raises(Exception) as in_the_body:
        run(later())
    with pytest.raises(Exception) as at_the_call:
        getattr(arguments, kind + "raises_at_once")(name)
    assert type(at_the_call.value) is type(in_the_body.value)
    assert str(at_the_call.value) == str(in_the_body.value)
    expected, text = RAISED.get(name, (arguments.OwnError, "own"))
    assert expected in (type(at_the_call.value), type(at_the_call.value).__name__)
    assert text in str(at_the_call.value)
    if name == "system_error":
        assert at_the_call.value.errno == errno.ENOENT


def test_an_argument_that_does_not_convert_is_refused_and_overloads_are_tried(arguments):
    async def main():
        assert await rest(arguments.overloaded(arguments.Model("m"))) == ["m0"]
        assert await rest(arguments.overloaded("text")) == ["text", "text"]
        for call in (arguments.overloaded, arguments.text_by_reference, arguments.by_reference):
            with pytest.raises(TypeError):
                call(7)

    run(main())
