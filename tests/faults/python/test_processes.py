"""fork() in the middle of an iteration, and interpreters inside the interpreter."""

import os
import sys

import pytest
from conftest import FULL

FORK = """
import os, sys
from counting import after_await, by_operator, passing_on
from driving import run
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize(
    "made",
    [
        "after_await(20)",
        "by_operator(20)",
        "passing_on(passing_on(after_await(20)))",
        "passing_on(passing_on(by_operator(20)))",
    ],
)
def test_both_sides_of_a_fork_go_on(made, program):
    out = program(
        FORK
        + f"""
generator = {made}
head = [run(generator.__anext__()) for _ in range(5)]
under_way = generator.__anext__()
try:
    under_way.send(None)  # suspended in an await, where the body has one
except StopIteration as stop:
    head.append(stop.value)
child = os.fork()
items = list(head)
if len(head) == 5:
    items.append(run(under_way))
while True:
    try:
        items.append(run(generator.__anext__()))
    except StopAsyncIteration:
        break
assert items == list(range(20)), items
run(generator.aclose())
assert generator.ag_state == "AGEN_CLOSED"
if child == 0:
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
print("both")
"""
    )
    assert out == "both\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_of_a_process_with_threads_goes_on(program):
    """The other threads are inside the engine when the process is forked: the child has them no more, and no lock of theirs."""
    out = program(
        FORK
        + f"""
import threading, time, warnings
warnings.simplefilter("ignore")  # 3.12 and newer advise against forking here
stop = False
def work():
    while not stop:
        root = passing_on(passing_on(by_operator(100)))
        for _ in range(50):
            run(root.__anext__())
        run(root.aclose())
threads = [threading.Thread(target=work, daemon=True) for _ in range(3)]
for thread in threads: thread.start()
for _ in range({60 if FULL else 15}):
    time.sleep(0.002)
    child = os.fork()
    if child == 0:
        root = passing_on(passing_on(by_operator(100)))
        assert [run(root.__anext__()) for _ in range(100)] == list(range(100))
        os._exit(0)
    deadline = time.monotonic() + 30
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > deadline:
            os.kill(child, 9)
            raise AssertionError("the child hangs")
        time.sleep(0.001)
    assert status == 0, status
stop = True
for thread in threads: thread.join()
print("well")
"""
    )
    assert out == "well\n"


SUB = """
import sys, warnings
warnings.simplefilter("ignore")
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
def execute(which, source):
    answer = (interpreters.exec if hasattr(interpreters, "exec") else interpreters.run_string)(which, source)
    assert answer is None, answer
source = '''
import sys
sys.path[:] = %r
import gc
from counting import by_operator, numbers, passing_on
from driving import run
for kind in (numbers, by_operator):
    root = passing_on(passing_on(kind(100)))
    assert [run(root.__anext__()) for _ in range(100)] == list(range(100))
left = [passing_on(passing_on(kind(5))) for kind in (numbers, by_operator) for _ in range(50)]
for one in left: run(one.__anext__())
cell = []; cell.append(passing_on(numbers(5))); run(cell[0].__anext__())
dropped = []
sys.set_asyncgen_hooks(lambda g: None, dropped.append)
with_hooks = numbers(5); run(with_hooks.__anext__()); del with_hooks
assert len(dropped) == 1
''' % (sys.path,)
"""


def has_interpreters():
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            __import__(name)
            return True
        except ImportError:
            continue
    return False


needs_interpreters = pytest.mark.skipif(not has_interpreters(), reason="this build has no module of sub-interpreters")


@needs_interpreters
def test_sub_interpreters_come_and_go_with_generators_left_in_them(program):
    rounds = 30 if FULL else 6
    out = program(
        SUB
        + f"""
import async_generator
from driving import run
for _ in range({rounds}):
    which = interpreters.create()
    execute(which, source)
    interpreters.destroy(which)
which = interpreters.create()  # this one is alive at exit
execute(which, source)
@async_generator.async_generator
async def here():
    yield 1
    yield 2
generator = here()
assert [run(generator.__anext__()), run(generator.__anext__())] == [1, 2]
interpreters.destroy(which)
print("well")
""",
        quiet=False,
    )
    assert out == "well\n"


@needs_interpreters
@pytest.mark.skipif(sys.version_info < (3, 12), reason="interpreters have a GIL of their own from 3.12 on")
def test_sub_interpreters_with_a_gil_of_their_own_work_at_the_same_time(program):
    out = program(
        SUB
        + f"""
import threading
errors = []
def work():
    try:
        for _ in range({10 if FULL else 3}):
            which = interpreters.create()
            execute(which, source)
            interpreters.destroy(which)
    except BaseException as error:
        errors.append(error)
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert not errors, errors
print("well")
""",
        quiet=False,
    )
    assert out == "well\n"
