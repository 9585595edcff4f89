"""Makes every allocation of a program fail, one at a time: `memory_programs.py NAME once|sticky STRIDE`, in a process of its own.

For every n the n-th allocation of the program fails (sticky: and forty more). Then
  - the failure shows: MemoryError, or the program ends as if nothing had failed (a cache that could not grow), or, where it
    was not the engine that asked for memory, what native generators end in when the interpreter itself meets a failure,
  - each generator made is closed or goes on (programs.py, probe),
  - nothing is left behind: doing it again and again does not make the number of allocated blocks grow.
"""

import gc
import sys
import warnings

import failing
from programs import PROGRAMS, Trial, careful, chain_of, foreign, probe, swallow

BATCH = 20  # runs in which a leak must show


def fail_at(function, n, sticky):
    """Runs the program with its n-th allocation failing. Answers (allocations counted, what came out, the trial)."""
    trial, came = Trial(), None
    failing.arm(n, sticky)
    try:
        function(trial)
        count = failing.disarm()
    except BaseException as error:
        count = failing.disarm()
        came = error
    trial.engine_alone = failing.engine_alone()
    return count, came, trial


def texts(came):
    """An exception and what it came from, as texts; the exceptions are let go of."""
    found = []
    for error in list(chain_of(came)):
        error.__traceback__ = None
        found.append(repr(error))
    return found


def control(trial):
    """The operations on native generators: what comes out of these is the interpreter's own doing."""
    for kind in (foreign, careful.__wrapped__):
        generator = kind(5)
        trial.run(generator.__anext__())
        swallow(trial.run, generator.athrow(KeyError("thrown")))
        trial.run(kind(5).__anext__())
        generator = kind(5)
        trial.run(generator.__anext__())
        trial.run(generator.aclose())


def of_the_interpreter(sticky):
    """The outcomes that are no MemoryError when native generators meet a failing allocation. (CPython loses exceptions where
    it cannot allocate a traceback: then a call answers SystemError, or the code goes on as if nothing had been raised.)"""
    # Which of these two a lost exception ends in depends on where it was lost.
    found, n = {"StopAsyncIteration()", "RuntimeError('coroutine ignored GeneratorExit')"}, 1
    while True:
        count, came, _ = fail_at(control, n, sticky)
        said = texts(came)
        found.update(said[: 0 if "MemoryError()" in said else 1])
        if count < n:
            return found
        n += 1


def judge(came, trial, allowed):
    """What is wrong with an outcome, or None."""
    said = texts(came)
    lost = "returned NULL without setting an exception"
    theirs = (
        lost in said[0] and ("of 'coroutine' objects" in said[0] or "_PyEval_EvalFrame" in said[0]) if said else False
    )
    clean = not said or "MemoryError()" in said or not trial.engine_alone and (said[0] in allowed or theirs)
    if not clean:
        return f"{said[0]}, where {'the engine alone' if trial.engine_alone else 'the interpreter, too,'} got no memory"
    for generator in trial.generators:
        complaint = probe(generator)
        if complaint is not None:
            return f"{generator.__name__}: {complaint} (after {said[:1]})"
    return None


def leaks(function, n, sticky, allowed):
    """Whether runs go on to leave blocks behind; the interpreter's own lists of free objects fill up (at a hundred, or some more)."""
    for _ in range(50):
        before = sys.getallocatedblocks()
        for _ in range(BATCH):
            _, came, trial = fail_at(function, n, sticky)
            judge(came, trial, allowed)
            del came, trial
            gc.collect()
        if sys.getallocatedblocks() - before < BATCH - 2:
            return False
    return True


def main(name, sticky, stride):
    function = {**PROGRAMS, "control": control}[name]
    sys.unraisablehook = lambda report: None
    warnings.simplefilter("ignore")
    gc.disable()  # collections would happen at other allocations each time
    allowed = of_the_interpreter(sticky)
    for _ in range(3):
        judge(None, fail_at(function, 1_000_000, sticky)[2], allowed)
    complaints, outcomes, n = [], {}, 1
    while True:
        growth = BATCH
        for _ in range(4):
            before = sys.getallocatedblocks()
            count, came, trial = fail_at(function, n, sticky)
            outcome = type(came).__name__
            wrong = judge(came, trial, allowed)
            del came, trial
            gc.collect()
            growth = min(growth, sys.getallocatedblocks() - before)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        if wrong is not None:
            complaints.append(f"allocation {n}: {wrong}")
        if growth > 0 and leaks(function, n, sticky, allowed):
            complaints.append(f"allocation {n}: {outcome}, and each run leaves blocks behind")
        if count < n:
            break
        n += stride
    print(f"{name}: {n} allocations, outcomes {outcomes}; the interpreter's own: {sorted(allowed)}")
    for complaint in complaints[:40]:
        print("   ", complaint)
    return len(complaints)


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1], sys.argv[2] == "sticky", int(sys.argv[3])), 99))
