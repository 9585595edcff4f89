"""Hooks of PEP 525 and what becomes of a dropped generator. Rules 52 to 58."""

import gc
import sys
import threading
import weakref

import pytest
from driving import Hold, finished, outcome, run, suspend, trap

OPERATIONS = {
    "anext": lambda generator: generator.__anext__(),
    "asend": lambda generator: generator.asend(None),
    "athrow": lambda generator: generator.athrow(KeyError()),
    "aclose": lambda generator: generator.aclose(),
}


def recording(implementation, done):
    @implementation
    async def body():
        try:
            yield 1
            yield 2
        finally:
            done.append("finally")

    return body()


# --- rule 52 ---


@pytest.mark.parametrize("operation", OPERATIONS)
def test_firstiter_is_called_once_by_the_first_call(implementation, hooks, operation):
    generator = recording(implementation, [])
    assert not hooks.begun
    awaiting = OPERATIONS[operation](generator)
    assert hooks.begun == [generator]  # rule 52: by the call, before anything is awaited
    outcome(run, awaiting)
    for again in OPERATIONS.values():
        outcome(run, again(generator))
    assert hooks.begun == [generator]


def test_firstiter_is_not_called_by_looking(implementation, hooks):
    generator = recording(implementation, [])
    aiter(generator)
    repr(generator), generator.ag_frame, generator.ag_running
    assert not hooks.begun


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_error_of_firstiter_leaves_the_call_and_is_not_repeated(implementation, hooks, operation):
    calls = []

    def firstiter(generator):
        calls.append(generator)
        raise ArithmeticError("hook")

    sys.set_asyncgen_hooks(firstiter=firstiter)
    generator = recording(implementation, [])
    with pytest.raises(ArithmeticError, match="hook"):
        OPERATIONS[operation](generator)  # rule 52
    assert run(generator.__anext__()) == 1  # rule 52: not retried
    assert calls == [generator]
    assert generator.ag_running is False
    run(generator.aclose())


def test_hooks_are_those_of_the_first_call(implementation, hooks):
    generator = recording(implementation, [])
    begun = []
    sys.set_asyncgen_hooks(firstiter=begun.append)
    run(generator.__anext__())
    assert begun == [generator]
    assert not hooks.begun
    run(generator.aclose())


def test_firstiter_may_iterate_the_generator(implementation, hooks):
    taken = []
    sys.set_asyncgen_hooks(firstiter=lambda generator: taken.append(run(generator.__anext__())))
    generator = recording(implementation, [])
    assert run(generator.__anext__()) == 2
    assert taken == [1]
    run(generator.aclose())


# --- rule 53 ---


def test_finalizer_gets_the_dropped_suspended_generator(implementation, hooks):
    done = []
    generator = recording(implementation, done)
    run(generator.__anext__())
    name = repr(generator)
    del generator
    gc.collect()
    (dropped,) = hooks.dropped  # rule 53
    assert repr(dropped) == name
    assert not done
    assert run(dropped.aclose()) is None
    assert done == ["finally"]


def test_finalizer_is_the_one_of_the_first_call(implementation, hooks):
    generator = recording(implementation, [])
    run(generator.__anext__())
    later = []
    sys.set_asyncgen_hooks(finalizer=later.append)
    del generator
    gc.collect()
    assert not later
    (dropped,) = hooks.dropped  # rule 53
    run(dropped.aclose())


def test_finalizer_set_after_the_first_call_is_not_used(implementation, hooks):
    sys.set_asyncgen_hooks(finalizer=None)
    done = []
    generator = recording(implementation, done)
    run(generator.__anext__())
    hooks.install()
    del generator
    gc.collect()
    assert not hooks.dropped  # rule 53
    assert done == ["finally"]


@pytest.mark.parametrize("how", ["exhausted", "closed", "failed", "closed before the start", "never iterated"])
def test_finalizer_is_not_called_for_a_generator_that_needs_no_closing(implementation, hooks, how):
    @implementation
    async def body():
        yield 1
        if how == "failed":
            raise KeyError

    generator = body()
    if how in ("exhausted", "failed"):
        outcome(run, generator.__anext__())
        outcome(run, generator.__anext__())
    elif how == "closed":
        run(generator.__anext__())
        run(generator.aclose())
    elif how == "closed before the start":
        run(generator.aclose())
    assert hooks.begun == ([] if how == "never iterated" else [generator])
    del generator
    gc.collect()
    assert not hooks.dropped  # rule 53


def test_finalizer_may_resurrect_and_is_not_called_again(implementation, hooks):
    done = []
    generator = recording(implementation, done)
    run(generator.__anext__())
    del generator
    gc.collect()
    dropped = hooks.dropped.pop()
    assert run(dropped.__anext__()) == 2  # it works as before
    del dropped
    gc.collect()
    assert not hooks.dropped  # rule 53: at most once
    if implementation.ours:
        assert done == ["finally"]


@pytest.mark.only(
    "decorated", "decorated_native", reason="native leaves such a reference dangling: Objects/genobject.c, gen_dealloc"
)
def test_a_weak_reference_that_the_finalizer_makes_is_cleared(implementation):
    made = []
    before = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(finalizer=lambda generator: made.append(weakref.ref(generator)))
    try:
        generator = recording(implementation, [])
        run(generator.__anext__())
        del generator
        gc.collect()
    finally:
        sys.set_asyncgen_hooks(*before)
    (reference,) = made
    assert reference() is None


@pytest.mark.parametrize("end", ["unstarted", "suspended", "closed"])
def test_a_collection_in_the_callback_of_a_weak_reference_leaves_the_dying_generator_alone(implementation, end):
    collections, done = [], []
    generator = recording(implementation, done)
    if end != "unstarted":
        run(generator.__anext__())
    if end == "closed":
        run(generator.aclose())
    reference = weakref.ref(generator, lambda _: collections.append(gc.collect()))
    del generator
    assert len(collections) == 1
    assert reference() is None
    assert done == ([] if end == "unstarted" else ["finally"])


def test_a_body_whose_finalizer_does_nothing(implementation, hooks):
    done = []
    sys.set_asyncgen_hooks(firstiter=None, finalizer=lambda generator: None)
    generator = recording(implementation, done)
    run(generator.__anext__())
    del generator
    gc.collect()
    # 1.10 runs the body's finally, which native forgets (table row 24).
    assert done == (["finally"] if implementation.ours else [])


@pytest.mark.engine(reason="the collector may close a body in a cycle before its generator")
def test_finalizer_for_a_generator_in_a_reference_cycle(implementation, hooks):
    done = []

    @implementation
    async def body(cycle):
        try:
            yield 1
        finally:
            done.append("finally")

    cycle = []
    cycle.append(body(cycle))
    run(cycle[0].__anext__())
    del cycle
    gc.collect()
    (dropped,) = hooks.dropped
    run(dropped.aclose())
    assert done == ["finally"]


def test_finalizer_is_held_by_the_generator_only(implementation, hooks):
    class Finalizer:
        def __call__(self, generator):
            pass

    finalizer = Finalizer()
    reference = weakref.ref(finalizer)
    sys.set_asyncgen_hooks(firstiter=None, finalizer=finalizer)
    generator = recording(implementation, [])
    run(generator.__anext__())
    sys.set_asyncgen_hooks(finalizer=None)
    del finalizer
    gc.collect()
    assert reference() is not None
    run(generator.aclose())
    del generator
    gc.collect()
    assert reference() is None


# --- rule 54 ---


@pytest.mark.engine(reason="what __del__ raises is reported for the method, not for the generator")
def test_an_error_of_the_finalizer_is_unraisable_and_names_the_generator(implementation, hooks, unraisable):
    def finalizer(generator):
        raise ArithmeticError("finalizer")

    sys.set_asyncgen_hooks(firstiter=None, finalizer=finalizer)
    generator = recording(implementation, [])
    run(generator.__anext__())
    name = repr(generator)
    del generator
    report = unraisable.take(ArithmeticError)
    assert name in repr(report.object) or name in str(report.err_msg)  # rule 54


# --- rule 55 ---


def test_without_a_finalizer_the_finally_of_a_dropped_generator_runs(implementation):
    done = []
    generator = recording(implementation, done)
    run(generator.__anext__())
    del generator
    gc.collect()
    assert done == ["finally"]  # rule 55


@pytest.mark.engine(reason="what __del__ raises is reported for the method, not for the generator")
def test_without_a_finalizer_a_finally_that_awaits_is_reported(implementation, unraisable):
    done = []

    @implementation
    async def body():
        try:
            yield 1
        finally:
            done.append("begun")
            await trap()
            done.append("never")

    generator = body()
    run(generator.__anext__())
    name = repr(generator)
    del generator
    report = unraisable.take(RuntimeError)
    if implementation.ours:
        assert "awaited during finalization; install a finalization hook" in str(report.exc_value)  # 1.10 fact I4
        assert "body" in str(report.exc_value)
    else:
        assert str(report.exc_value) == "async generator ignored GeneratorExit"
    assert name in repr(report.object) or name in str(report.err_msg)  # rule 55
    assert done == ["begun"]


def test_without_a_finalizer_a_finally_that_yields_is_reported(implementation, unraisable):
    @implementation
    async def body():
        try:
            yield 1
        finally:
            yield 2

    generator = body()
    run(generator.__anext__())
    del generator
    report = unraisable.take(RuntimeError)
    assert "ignored GeneratorExit" in str(report.exc_value)  # rule 55
    while unraisable and not implementation.ours:
        unraisable.take(RuntimeError)


@pytest.mark.engine(reason="what __del__ raises is reported for the method, not for the generator")
def test_without_a_finalizer_an_error_of_the_finally_is_reported(implementation, unraisable):
    @implementation
    async def body():
        try:
            yield 1
        finally:
            raise ArithmeticError("cleanup")

    generator = body()
    run(generator.__anext__())
    name = repr(generator)
    del generator
    report = unraisable.take(ArithmeticError)
    assert name in repr(report.object) or name in str(report.err_msg)
    assert type(report.exc_value.__context__) is GeneratorExit


def test_a_body_that_swallows_the_exit_is_dropped_silently(implementation, unraisable):
    done = []

    @implementation
    async def body():
        try:
            yield 1
        except GeneratorExit:
            done.append("swallowed")

    generator = body()
    run(generator.__anext__())
    del generator
    gc.collect()
    assert done == ["swallowed"]
    if not implementation.since(3, 15):
        unraisable.take(StopAsyncIteration)  # native reported the plain end of the body


# --- rule 56 ---


def test_a_generator_dropped_in_an_await_gets_generator_exit_there(implementation):
    hold = Hold()
    done = []

    @implementation
    async def body():
        try:
            await hold
            yield
        finally:
            done.append("finally")

    generator = body()
    awaiting = generator.__anext__()
    suspend(awaiting)
    del awaiting, generator
    gc.collect()
    assert [type(error) for error in hold.seen] == [GeneratorExit]  # rule 56
    assert done == ["finally"]


def test_a_generator_dropped_in_an_await_with_a_finalizer(implementation, hooks):
    hold = Hold()
    done = []

    @implementation
    async def body():
        try:
            await hold
            yield
        finally:
            done.append("finally")

    generator = body()
    awaiting = generator.__anext__()
    suspend(awaiting)
    del awaiting, generator
    gc.collect()
    if implementation.ours:
        # Dropping the awaitable has closed the body already.
        assert not hooks.dropped
        assert done == ["finally"]
    else:
        assert len(hooks.dropped) == 1
        hooks.dropped.clear()
        gc.collect()


def test_generators_in_reference_cycles_are_collected(implementation):
    done = []

    @implementation
    async def body(cycle):
        try:
            yield 1
        finally:
            done.append("finally")

    cycle = []
    cycle.append(body(cycle))
    run(cycle[0].__anext__())
    gone = weakref.ref(cycle[0])
    del cycle
    gc.collect()
    assert gone() is None  # rule 56
    assert done == ["finally"]


def test_a_generator_that_refers_to_itself_is_collected(implementation):
    done = []

    @implementation
    async def body():
        me = holder[0]
        assert me is not None
        try:
            yield 1
        finally:
            done.append("finally")

    holder = [body()]
    run(holder[0].__anext__())
    gone = weakref.ref(holder[0])
    holder.clear()
    gc.collect()
    assert gone() is None
    assert done == ["finally"]


@pytest.mark.filterwarnings("ignore:coroutine method 'asend' of:RuntimeWarning")
def test_an_anext_that_nobody_awaits_is_collected_in_a_cycle_with_its_generator(implementation):
    @implementation
    async def body(cycle):
        yield cycle
        yield cycle

    def make():
        cycle = []
        cycle.append(body(cycle))
        run(cycle[0].__anext__())
        cycle.append(anext(cycle[0]))
        return weakref.ref(cycle[0])

    gone = [make() for _ in range(3)]
    other = body([])
    run(anext(other))  # ours shows the collector an anext when the next one is made
    gc.collect()
    assert [one() for one in gone] == [None] * 3
    run(other.aclose())


@pytest.mark.parametrize("ending", ["a hook keeps it for a while", "its cleanup awaits", "its cleanup yields"])
def test_a_body_in_a_cycle_ends_while_what_it_calls_is_still_whole(implementation, ending, monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", lambda report: None)
    begun, ended = [], []

    def make():
        cycle = []

        def use():
            begun.append(len(cycle))

        @implementation
        async def body():
            try:
                yield 1
            finally:
                try:
                    if ending == "its cleanup awaits":
                        await Hold()
                    elif ending == "its cleanup yields":
                        yield 2
                finally:
                    use()  # a crash where the collector had taken the function apart
                    ended.append(len(begun))

        if ending == "a hook keeps it for a while":
            sys.set_asyncgen_hooks(finalizer=cycle.append)
        for _ in range(2):
            generator = body()
            run(generator.__anext__())
            cycle.append(generator)
        del generator
        sys.set_asyncgen_hooks(finalizer=None)
        if ending == "a hook keeps it for a while":
            cycle.clear()  # drops them, and so fills it again

    for _ in range(10):
        make()
        gc.collect()
    if implementation.ours:  # native does not run again what it has finalized once
        assert ended == list(range(1, 21))


def test_an_awaitable_in_a_cycle_with_its_generator_is_collected(implementation):
    hold = Hold()

    @implementation
    async def body(cycle):
        await hold
        yield

    cycle = []
    generator = body(cycle)
    awaiting = generator.__anext__()
    cycle.append(awaiting)
    suspend(awaiting)
    gone = weakref.ref(generator)
    del cycle, generator, awaiting
    gc.collect()
    assert gone() is None
    assert [type(error) for error in hold.seen] == [GeneratorExit]


def test_a_value_waiting_in_an_asend_takes_part_in_collection(implementation):
    generator = recording(implementation, [])
    run(generator.__anext__())

    class Value:
        pass

    value = Value()
    value.awaiting = generator.asend(value)
    value.awaiting.close()
    fresh = Value()
    fresh.awaiting = generator.asend(fresh)
    outcome(fresh.awaiting.close)
    gone = weakref.ref(value), weakref.ref(fresh)
    del value, fresh
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


# --- rule 57 ---


def test_closing_a_fresh_awaitable_leaves_nothing_to_finalize(implementation, hooks):
    generator = recording(implementation, [])
    run(generator.__anext__())
    generator.__anext__().close()
    del generator
    gc.collect()
    assert len(hooks.dropped) == (0 if implementation.since(3, 13) else 1)  # rule 57
    for dropped in hooks.dropped:
        run(dropped.aclose())


# --- calling __del__ by hand ---


@pytest.mark.engine(reason="__del__() of a generator that has not begun closes it")
@pytest.mark.only("decorated", "decorated_native", reason="native generators have no __del__ to call; 1.10 fact I6")
def test_del_by_hand_closes_one_step(implementation, hooks):
    sys.set_asyncgen_hooks(None, None)
    done = []
    generator = recording(implementation, done)
    assert generator.__del__() is None  # unstarted: nothing
    run(generator.__anext__())
    assert generator.__del__() is None
    assert done == ["finally"]
    assert generator.__del__() is None
    assert finished(generator)
    assert generator.__del__() is None


@pytest.mark.only("decorated", "decorated_native", reason="native generators have no __del__ to call; 1.10 fact I6")
def test_del_by_hand_raises_what_a_collection_would_report(implementation):
    @implementation
    async def awaits():
        try:
            yield
        finally:
            await trap()

    @implementation
    async def yields():
        try:
            yield
        finally:
            yield

    @implementation
    async def fails():
        try:
            yield
        finally:
            raise ArithmeticError

    for function, error, text in (
        (awaits, RuntimeError, "awaited during finalization; install a finalization hook"),
        (yields, RuntimeError, "ignored GeneratorExit"),
        (fails, ArithmeticError, None),
    ):
        generator = function()
        run(generator.__anext__())
        with pytest.raises(error, match=text):
            generator.__del__()
        outcome(run, generator.aclose())


# --- rule 58: the hooks themselves ---


def test_bad_hooks_are_refused():
    from async_generator import get_asyncgen_hooks, set_asyncgen_hooks

    with pytest.raises(TypeError, match="callable firstiter expected, got int"):
        set_asyncgen_hooks(5)
    with pytest.raises(TypeError, match="callable finalizer expected, got int"):
        set_asyncgen_hooks(print, 5)
    assert get_asyncgen_hooks() == (None, None)  # rule 58


def test_the_packages_hooks_are_the_interpreters():
    import async_generator

    assert async_generator.get_asyncgen_hooks is sys.get_asyncgen_hooks
    assert async_generator.set_asyncgen_hooks is sys.set_asyncgen_hooks


def test_hooks_belong_to_their_thread(implementation, hooks):
    taken = []

    def other():
        generator = recording(implementation, [])
        taken.append(run(generator.__anext__()))
        run(generator.aclose())

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert taken == [1]
    assert not hooks.begun


AUDIT = """
import sys
sys.path[:0] = {path!r}
from bodies import IMPLEMENTATIONS

@IMPLEMENTATIONS[{name!r}]
async def body():
    yield

seen = []
def audit(event, arguments):
    if event == "object.__getattr__" and arguments[1].startswith("ag_"):
        seen.append(arguments[1])

generator = body()
sys.addaudithook(audit)
generator.ag_running, generator.ag_await
assert not seen, seen
generator.ag_frame, generator.ag_code
assert seen == ["ag_frame", "ag_code"], seen
"""


@pytest.mark.only(
    "native",
    "undecorated",
    reason="an auditing hook of the package would be its own event; native's is tested as the reference",
)
def test_reading_frame_and_code_is_audited(implementation, tmp_path):
    import os
    import subprocess

    script = tmp_path / "audit.py"
    script.write_text(AUDIT.format(path=[os.path.dirname(__file__)], name=implementation.name))
    subprocess.run([sys.executable, "-W", "error", str(script)], check=True)  # rule 58
