"""Threads, processes and sub-interpreters: a generator may move between threads, never be used by two at once."""

import os
import subprocess
import sys
import textwrap
import threading

import pytest
from driving import collect, finished, outcome, run, suspend, trap


def in_thread(call):
    """What `call` returns, or raises, in a thread of its own."""
    result = []
    thread = threading.Thread(target=lambda: result.append(outcome_of(call)))
    thread.start()
    thread.join(30)
    assert result, "the thread did not come to an end"
    value, error = result[0]
    if error is not None:
        raise error
    return value


def outcome_of(call):
    try:
        return call(), None
    except BaseException as error:
        return None, error


def test_a_generator_may_be_iterated_from_one_thread_after_another(implementation):
    @implementation
    async def body():
        received = None
        for number in range(20):
            await trap()
            received = yield number, threading.get_ident(), received

    generator = body()
    seen = [in_thread(lambda number=number: run(generator.asend(number or None))) for number in range(20)]
    assert [number for number, _, _ in seen] == list(range(20))
    assert [received for _, _, received in seen] == [None, *range(1, 20)]
    assert in_thread(lambda: finished(generator))


def test_a_generator_begun_in_a_thread_that_is_gone_may_be_closed(implementation):
    done = []

    @implementation
    async def body():
        try:
            yield 1
        finally:
            done.append(threading.get_ident())

    generator = body()
    assert in_thread(lambda: run(generator.__anext__())) == 1
    assert run(generator.aclose()) is None
    assert done == [threading.get_ident()]


def test_a_generator_suspended_in_one_thread_is_running_in_another(implementation):
    @implementation
    async def body():
        await trap()
        yield 1

    generator = body()
    awaiting = generator.__anext__()
    suspend(awaiting)
    with pytest.raises(RuntimeError, match="already running"):
        in_thread(lambda: run(generator.__anext__()))
    assert run(awaiting) == 1
    run(generator.aclose())


def test_a_generator_that_executes_in_one_thread_is_running_in_another(implementation):
    entered, leave = threading.Event(), threading.Event()

    @implementation
    async def body():
        entered.set()
        assert leave.wait(30)
        yield "item"

    generator = body()
    taken = []
    thread = threading.Thread(target=lambda: taken.append(run(generator.__anext__())))
    thread.start()
    assert entered.wait(30)
    try:
        for operation in ("anext", "asend", "athrow", "aclose"):
            call = {
                "anext": generator.__anext__,
                "asend": lambda: generator.asend(1),
                "athrow": lambda: generator.athrow(KeyError()),
                "aclose": generator.aclose,
            }[operation]
            with pytest.raises(RuntimeError, match="already running"):
                run(call())
    finally:
        leave.set()
        thread.join(30)
    assert taken == ["item"]
    run(generator.aclose())


@pytest.mark.without("native", "undecorated", reason="free-threaded native generators are known to crash (rule 66)")
def test_two_threads_that_pull_at_once_lose_and_double_nothing(implementation):
    """Each item is taken once, in order; whoever comes second is told, and may try again."""
    count = 3000

    @implementation
    async def body():
        for number in range(count):
            yield number

    generator = body()
    taken, errors = [[] for _ in range(4)], []
    barrier = threading.Barrier(len(taken))

    def pull(mine):
        barrier.wait(30)
        while True:
            try:
                mine.append(run(generator.__anext__()))
            except StopAsyncIteration:
                return
            except RuntimeError as error:
                if "already running" not in str(error):
                    errors.append(error)
                    return

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=pull, args=(mine,)) for mine in taken]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert not any(thread.is_alive() for thread in threads)
    assert not errors
    assert sorted(number for mine in taken for number in mine) == list(range(count))
    assert all(mine == sorted(mine) for mine in taken)


@pytest.mark.without("native", "undecorated", reason="free-threaded native generators are known to crash (rule 66)")
def test_generators_made_and_dropped_in_many_threads_do_not_disturb_each_other(implementation):
    @implementation
    async def body(number):
        yield number
        await trap()
        yield number + 1
        yield number + 2

    wrong = []

    def work(base):
        for number in range(base, base + 300):
            if number % 3:
                if collect(body(number)) != [number, number + 1, number + 2]:
                    wrong.append(number)
            else:
                generator = body(number)
                if run(generator.__anext__()) != number:
                    wrong.append(number)

    threads = [threading.Thread(target=work, args=(base * 1000,)) for base in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


def test_closing_from_another_thread_while_iterating_is_refused_or_waits_its_turn(implementation):
    if not implementation.ours:
        pytest.skip("free-threaded native generators are known to crash (rule 66)")

    @implementation
    async def body():
        try:
            while True:
                yield
        finally:
            done.append(1)

    done = []
    generator = body()
    run(generator.__anext__())  # one that has not begun is closed without its `finally`
    stop = threading.Event()

    def iterate():
        while not stop.is_set():
            try:
                run(generator.__anext__())
            except StopAsyncIteration:
                return
            except RuntimeError as error:
                assert "already running" in str(error)

    thread = threading.Thread(target=iterate)
    thread.start()
    for _ in range(10_000):
        if outcome(run, generator.aclose()) == ("awaits", None):
            break
    stop.set()
    thread.join(30)
    run(generator.aclose())
    assert done == [1]
    assert finished(generator)


# --- processes ---


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # 3.12+ warns of fork where there were threads
def test_a_generator_goes_on_in_a_forked_child(implementation):
    @implementation
    async def body():
        for number in range(3):
            yield number

    generator = body()
    assert run(generator.__anext__()) == 0
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if collect(generator) == [1, 2] and collect(body()) == [0, 1, 2] else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert collect(generator) == [1, 2]


def python(script, *, check=True):
    """Runs `script` in a fresh interpreter in which these modules can be imported; returns what it wrote."""
    script = f"import sys; sys.path[:0] = {[os.path.dirname(__file__), *sys.path]!r}\n" + textwrap.dedent(script)
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=120)
    if check:
        assert done.returncode == 0, done.stderr
        assert not done.stderr, done.stderr
    return done


@pytest.mark.parametrize("where", ["at a yield", "in an await", "unstarted", "in a cycle"])
def test_the_interpreter_ends_with_a_generator_that_is_alive(implementation, where, tmp_path):
    script = tmp_path / "alive.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys
            sys.path[:0] = {[os.path.dirname(__file__), *sys.path]!r}
            from bodies import IMPLEMENTATIONS
            from driving import run, suspend, trap

            @IMPLEMENTATIONS[{implementation.name!r}]
            async def body():
                if {where!r} == "in an await":
                    await trap()
                yield 1

            generator = body()
            if {where!r} == "at a yield":
                run(generator.__anext__())
            elif {where!r} == "in an await":
                awaiting = generator.__anext__()
                suspend(awaiting)
            elif {where!r} == "in a cycle":
                cycle = [generator]
                cycle.append(cycle)
                run(generator.__anext__())
                del generator
            """
        )
    )
    done = subprocess.run([sys.executable, "-W", "error", str(script)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_package_is_imported_in_a_thread_first():
    python(
        """
        import threading

        def work():
            from async_generator import async_generator, yield_
            from driving import collect

            @async_generator
            async def body():
                await yield_(1)

            result.append(collect(body()))

        result = []
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert result == [[1]]
        """
    )


def test_the_package_is_imported_again_after_it_was_forgotten():
    python(
        """
        import gc
        from driving import collect
        for _ in range(3):
            import async_generator
            from async_generator import async_generator as decorate, yield_

            @decorate
            async def body():
                await yield_(1)
                await yield_(2)

            assert collect(body()) == [1, 2]
            for name in [name for name in sys.modules if name.split(".")[0] == "async_generator"]:
                del sys.modules[name]
            del async_generator, decorate, yield_, body
            gc.collect()
        """
    )


# --- sub-interpreters ---

IN_SUBINTERPRETER = """
import sys
sys.path[:0] = {path!r}
from async_generator import async_generator, yield_, yield_from_

async def delegate():
    yield 1
    yield 2

@async_generator
async def body():
    await yield_(0)
    await yield_from_(delegate())
    return 3

@async_generator
async def native():
    yield 4

async def undecorated():
    await yield_(5)
    yield 6

def items(generator):
    taken = []
    while True:
        try:
            generator.__anext__().send(None)
        except StopIteration as stop:
            taken.append(stop.value)
        except StopAsyncIteration:
            return taken

assert items(body()) == [0, 1, 2], items(body())
assert items(native()) == [4]
assert items(undecorated()) == [5, 6]
kept = body()
try:
    kept.__anext__().send(None)
except StopIteration:
    pass
"""


def subinterpreters():
    """Functions (name, run) for each way that this interpreter offers: with a GIL of its own and with the shared one."""
    try:
        from concurrent import interpreters  # 3.14+

        def run_public(script):
            one = interpreters.create()
            try:
                one.exec(script)
            finally:
                one.close()

        yield "concurrent.interpreters", run_public
    except ImportError:
        pass
    try:
        import _interpreters  # 3.13+

        for config in ("isolated", "legacy"):

            def run_private(script, config=config):
                one = _interpreters.create(config)
                try:
                    failure = _interpreters.exec(one, script)
                finally:
                    _interpreters.destroy(one)
                assert failure is None, failure.formatted

            yield f"_interpreters, {config}", run_private
    except ImportError:
        pass
    try:
        import _xxsubinterpreters  # up to 3.12

        for isolated in (True, False):

            def run_old(script, isolated=isolated):
                one = _xxsubinterpreters.create(isolated=isolated)
                try:
                    failure = _xxsubinterpreters.run_string(one, script)
                finally:
                    _xxsubinterpreters.destroy(one)
                assert failure is None, failure

            yield f"_xxsubinterpreters, {'isolated' if isolated else 'legacy'}", run_old
    except ImportError:
        pass


if sys.version_info >= (3, 14):
    WAYS = ["concurrent.interpreters", "_interpreters, isolated", "_interpreters, legacy"]
elif sys.version_info >= (3, 13):
    WAYS = ["_interpreters, isolated", "_interpreters, legacy"]
else:
    WAYS = ["_xxsubinterpreters, isolated", "_xxsubinterpreters, legacy"]


@pytest.mark.parametrize("way", WAYS)
def test_sub_interpreters_come_and_go(way):
    """Several after one another, each with the package of its own, the main interpreter's going on."""
    python(
        f"""
        from test_threads import IN_SUBINTERPRETER, subinterpreters
        from async_generator import async_generator, yield_
        from driving import collect, run

        @async_generator
        async def body():
            await yield_(1)
            await yield_(2)

        kept = body()
        assert run(kept.__anext__()) == 1
        execute = dict(subinterpreters())[{way!r}]
        for _ in range(3):
            execute(IN_SUBINTERPRETER.format(path=sys.path))
            assert collect(body()) == [1, 2]
        assert collect(kept) == [2]
        """
    )


ENVIRONMENTS_IN_SUBINTERPRETER = """
import sys
sys.path[:0] = {path!r}
import asyncio, contextvars
from async_generator import async_generator, structured

log = []
variable = contextvars.ContextVar("variable", default="unset")

@async_generator(isolated=True)
async def isolated():
    variable.set("body's")
    try:
        for item in range(3):
            await asyncio.sleep(0)
            yield item, asyncio.current_task().get_name(), variable.get()
    finally:
        await asyncio.sleep(0)
        log.append("isolated")

@async_generator(context="layered")
async def layered():
    try:
        yield variable.get()
        yield variable.get()
    finally:
        log.append("layered")

@structured
async def consumer():
    async for item in isolated():
        break
    variable.set("consumer's")
    async for seen in layered():
        break
    await asyncio.sleep(0)
    return item, seen

async def main():
    result = await consumer()
    for _ in range(5):
        await asyncio.sleep(0)
    kept = isolated()
    await kept.__anext__()
    sys.kept = kept  # suspended at the end of the loop and of the interpreter
    return result

assert asyncio.run(main()) == ((0, "generator isolated", "body's"), "consumer's")
assert sorted(log) == ["isolated", "isolated", "layered"], log
"""


@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="before 3.12 asyncio's C module has one state for all interpreters"
)
@pytest.mark.parametrize("way", WAYS)
def test_environments_in_sub_interpreters(way):
    if sys.version_info[:2] == (3, 12) and way.endswith("isolated"):
        pytest.skip("3.12.1 frees memory twice when asyncio alone runs in interpreters with a GIL of their own")
    python(
        f"""
        from test_threads import ENVIRONMENTS_IN_SUBINTERPRETER, subinterpreters
        execute = dict(subinterpreters())[{way!r}]
        script = ENVIRONMENTS_IN_SUBINTERPRETER.format(path=sys.path)
        for _ in range(2):
            execute(script)
        exec(script, {{}})
        execute(script)
        """
    )


@pytest.mark.parametrize("way", WAYS)
def test_the_package_lives_in_a_sub_interpreter_alone(way):
    python(
        f"""
        from test_threads import IN_SUBINTERPRETER, subinterpreters
        assert "async_generator" not in sys.modules
        execute = dict(subinterpreters())[{way!r}]
        for _ in range(2):
            execute(IN_SUBINTERPRETER.format(path=sys.path))
        """
    )


@pytest.mark.skipif(not hasattr(sys, "_is_gil_enabled"), reason="the GIL can be switched off from 3.13 on")
def test_importing_the_package_leaves_a_free_threaded_interpreter_free():
    if sys._is_gil_enabled():
        pytest.skip("this interpreter has a GIL")
    python("import async_generator; assert not sys._is_gil_enabled()")
