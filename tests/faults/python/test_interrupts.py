"""KeyboardInterrupt at any step: a signal may arrive between any two instructions of any frame."""

import gc
import signal
import sys
import time
import warnings

import pytest
from async_generator import async_generator, yield_
from conftest import FULL
from driving import run, trap
from programs import PROGRAMS, Trial, chain_of, probe

# These run hardly any instructions of generators.
TRACED = sorted(set(PROGRAMS) - {"decorate", "misuse", "import_the_engine"})


# CPython 3.10 gets its stack of handled exceptions wrong when a trace function raises between some instructions of a handler,
# and crashes, native generators or not; lines are safe there.
EVENT = "opcode" if sys.version_info >= (3, 11) else "line"


class Interrupter:
    """Interrupts at the n-th instruction that is traced: raises as a signal's handler would, or has a signal delivered."""

    def __init__(self, n, by_signal):
        self.left, self.by_signal = n, by_signal

    def __call__(self, frame, event, argument):
        frame.f_trace_opcodes = EVENT == "opcode"
        frame.f_trace_lines = EVENT == "line"
        if event == EVENT:
            self.left -= 1
            if self.left == 0:
                if not self.by_signal:
                    raise KeyboardInterrupt
                signal.raise_signal(signal.SIGINT)
        return self


def interrupted(program, n, by_signal):
    """Runs the program with an interrupt at its n-th instruction. Answers whether it got that far, and the trial."""
    trial, hooks = Trial(), sys.get_asyncgen_hooks()
    interrupter = Interrupter(n, by_signal)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.settrace(interrupter)
    try:
        program(trial)
    except (KeyboardInterrupt, RuntimeError) as error:
        # An interrupt while a body is being closed may come out chained; it must not be gone.
        chain = list(chain_of(error))
        assert any(isinstance(one, KeyboardInterrupt) for one in chain), chain
        for one in chain:  # the frames, and the operations in them, are let go of
            one.__traceback__ = None
        del chain, one
    finally:
        sys.settrace(None)
        signal.signal(signal.SIGINT, handler)
        sys.set_asyncgen_hooks(*hooks)
    return interrupter.left <= 0, trial


@pytest.mark.parametrize("by_signal", [False, True], ids=["raised", "signal"])
@pytest.mark.parametrize("name", TRACED)
def test_an_interrupt_at_any_instruction_leaves_the_generators_usable(name, by_signal, monkeypatch):
    monkeypatch.setattr(sys, "unraisablehook", lambda report: None)
    step = 1 if FULL or EVENT == "line" else 7
    n, complaints = 1, []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interrupted(
            PROGRAMS[name], sys.maxsize, by_signal
        )  # 3.12 traces no instructions where it traces for the first time
        while True:
            reached, trial = interrupted(PROGRAMS[name], n, by_signal)
            complaints += [f"instruction {n}: {g.__name__}: {said}" for g in trial.generators if (said := probe(g))]
            del trial
            if not reached:
                break
            n += step
        gc.collect()
    assert n > 3 * step, "hardly anything was traced"
    assert not complaints, complaints[:20]


def test_interrupts_by_a_timer_lose_no_item():
    """Real signals at moments that nobody chose: the consumer goes on after each, and sees every item once, in order."""
    count = 300_000 if FULL else 30_000

    @async_generator
    async def numbers():
        number = 0
        while number < count:
            try:
                await yield_(number)
            except Alarm:
                continue  # thrown in at the await: the item was not taken
            number += 1

    class Alarm(Exception):
        pass

    fired = 0

    def handler(signum, frame):
        nonlocal fired
        fired += 1
        # Only where the consumer stands: an interrupt inside the body is the body's own business.
        if frame is not None and frame.f_code is consume.__code__:
            raise Alarm

    seen = []

    def consume(generator):
        while True:
            awaitable = generator.__anext__()
            seen.append(run(awaitable))

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    generator, deadline = numbers(), time.monotonic() + 120
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an operation that was made and not awaited
            while time.monotonic() < deadline:
                try:
                    consume(generator)
                except Alarm:
                    continue
                except StopAsyncIteration:
                    break
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0, 0)
        signal.signal(signal.SIGALRM, before)
    assert fired > 0
    # An alarm between the end of run() and the append loses that item to the consumer, as anywhere in Python.
    assert seen == sorted(set(seen)) and seen[-1] == count - 1 and len(seen) >= count - fired
    assert generator.ag_state == "AGEN_CLOSED"


def test_control_c_in_asyncio_run(program):
    """The real thing: SIGINT while asyncio.run() works a chain of generators; everything is closed and nothing is said."""
    out = program(
        """
        import asyncio, os, signal, threading
        from async_generator import async_generator, yield_, yield_from_

        closed = []

        @async_generator
        async def leaf():
            try:
                while True:
                    await asyncio.sleep(0)
                    yield 1
            finally:
                await asyncio.sleep(0)
                closed.append("leaf")

        @async_generator
        async def root(depth):
            try:
                await yield_from_(root(depth - 1) if depth else leaf())
            finally:
                closed.append("root")

        async def main():
            async for _ in root(5):
                pass

        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("interrupted", closed)
        """
    )
    assert out.strip() == "interrupted ['leaf', 'root', 'root', 'root', 'root', 'root', 'root']"


def test_a_signal_handler_may_use_the_generator():
    """A handler runs between two instructions of the body and drives the same generator: it is refused, nothing breaks."""
    answers = []

    @async_generator
    async def body():
        for number in range(3):
            signal.raise_signal(signal.SIGUSR1)
            await trap()
            yield number

    generator = body()

    def handler(signum, frame):
        for operation in (generator.__anext__(), generator.aclose(), generator.athrow(KeyError())):
            try:
                run(operation)
            except RuntimeError as error:
                answers.append(str(error).split(": ")[-1])

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        assert [run(generator.__anext__()) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(StopAsyncIteration):
            run(generator.__anext__())
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert answers == ["asynchronous generator is already running"] * 9
