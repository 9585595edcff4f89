"""The interpreter ends while generators are suspended: no crash, no hang, and the same words as with native generators."""

import pytest
from conftest import run_program

NATIVE = "def async_generator(function): return function\n"
OURS = "from async_generator import async_generator\n"

BODY = """
import asyncio, atexit, gc, sys, threading, types, weakref

@types.coroutine
def trap():
    return (yield)

def step(awaitable):
    try:
        return awaitable.send(None)
    except StopIteration as stop:
        return stop.value

@async_generator
async def numbers(*kept):
    try:
        for number in range(10):
            yield number
    finally:
        print("closed", flush=True)

@async_generator
async def awaiting(*kept):
    try:
        await trap()
        yield 1
    finally:
        print("left", flush=True)
"""

SHAPES = {
    "a global, suspended at a yield": "g = numbers(); step(g.__anext__())",
    "a global, suspended at an await": "g = awaiting(); a = g.__anext__(); step(a)",
    "a global that was never begun": "g = numbers()",
    "a global that has ended": "g = numbers(); [step(g.__anext__()) for _ in range(10)]",
    "an operation never awaited": "import warnings; warnings.simplefilter('ignore'); g = numbers(); a = g.__anext__()",
    "in a cycle": "c = []; c.append(numbers(c)); step(c[0].__anext__())",
    "in a cycle through its own frame": """
@async_generator
async def own():
    me = [g]
    yield me
g = own(); step(g.__anext__()); del g
""",
    "on a module": "sys.modules['late'] = types.ModuleType('late'); sys.modules['late'].g = numbers(); step(sys.modules['late'].g.__anext__())",
    "in builtins": "import builtins; builtins.g = numbers(); step(builtins.g.__anext__())",
    "on a class": "class Holder: g = numbers()\nstep(Holder.g.__anext__())",
    "as a default argument": "def f(g=numbers()): pass\nstep(f.__defaults__[0].__anext__())",
    "driven in atexit": "g = numbers(); step(g.__anext__()); atexit.register(lambda: print(step(g.__anext__()), flush=True))",
    "made in atexit": "atexit.register(lambda: [globals().__setitem__('late', numbers()), step(late.__anext__())])",
    "driven by a finalizer": """
class Last:
    def __init__(self): self.g = numbers(); step(self.g.__anext__())
    def __del__(self): print("item", step(self.g.__anext__()), flush=True)
last = Last()
""",
    "with a weak reference's callback": "g = numbers(); step(g.__anext__()); w = weakref.ref(g, lambda _: print('dead', flush=True))",
    "with hooks set": """
sys.set_asyncgen_hooks(lambda g: None, lambda g: print("hook", flush=True))
g = numbers(); step(g.__anext__())
""",
    "with hooks that keep": """
kept = []
sys.set_asyncgen_hooks(kept.append, kept.append)
g = numbers(); step(g.__anext__()); del g
""",
    "with hooks that fail": """
def fail(g): raise OSError("hook")
sys.set_asyncgen_hooks(None, fail)
g = numbers(); step(g.__anext__())
""",
    "in a loop that nobody closed": """
async def main():
    global g
    g = numbers()
    await g.__anext__()
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
""",
    "in a task that nobody awaited": """
async def main():
    global g
    g = numbers()
    async for _ in g:
        await asyncio.sleep(0.01)
async def outer():
    global task
    task = asyncio.ensure_future(main())
    await asyncio.sleep(0.02)
import logging; logging.disable()
asyncio.run(outer())
""",
    # They must not print: a daemon thread in the middle of that, with output buffered, is fatal to CPython itself.
    "in daemon threads that run": """
left = 0
@async_generator
async def quiet():
    global left
    try:
        await trap()
        yield 1
    finally:
        left += 1
def work():
    while True:
        g = quiet()
        for _ in range(100):
            a = g.__anext__()
            try: a.send(None)
            except BaseException: break
            a.close()
for _ in range(32): threading.Thread(target=work, daemon=True).start()
import time
while not left: time.sleep(0.05)
""",
    "in a daemon thread that waits": """
ready = threading.Event()
def work():
    g = numbers(); step(g.__anext__())
    ready.set()
    threading.Event().wait()
threading.Thread(target=work, daemon=True).start()
ready.wait()
""",
    "in thread-local storage": "local = threading.local(); local.g = numbers(); step(local.g.__anext__())",
    "in a context variable": "import contextvars; v = contextvars.ContextVar('v'); v.set(numbers()); step(v.get().__anext__())",
    "after the package left sys.modules": """
g = numbers(); step(g.__anext__())
for name in [n for n in sys.modules if n.startswith('async_generator')]: del sys.modules[name]
async_generator = None; gc.collect()
print(step(g.__anext__()), flush=True)
""",
    "at sys.exit in the body": """
@async_generator
async def leaving():
    yield 1
    sys.exit(0)
g = leaving(); step(g.__anext__()); step(g.__anext__())
""",
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_interpreter_ends_as_with_native_generators(name):
    ended = [run_program(face + BODY + SHAPES[name], timeout=120) for face in (NATIVE, OURS)]
    native, ours = ended
    assert native.returncode == 0, native
    assert ours.returncode == 0, ours
    assert sorted(ours.stdout.split("\n")) == sorted(native.stdout.split("\n"))
    assert ours.stderr.count("\n") <= native.stderr.count("\n"), (native.stderr, ours.stderr)
    for word in ("Fatal", "Segmentation", "SystemError"):
        assert word not in ours.stderr, ours.stderr


CHAIN = """
from async_generator import yield_, yield_from_

@async_generator
async def operator(count):
    for number in range(count):
        await yield_(number)

@async_generator
async def link(inner):
    try:
        return await yield_from_(inner)
    finally:
        print("link", flush=True)

async def helper(inner):
    return await yield_from_(inner)

@async_generator
async def helped(inner):
    return await helper(inner)

async def foreign():
    yield 1
    yield 2
"""

CHAINS = {
    "a chain": "root = link(link(numbers())); step(root.__anext__())",
    "a chain whose leaf awaits": "root = link(link(awaiting())); a = root.__anext__(); step(a)",
    "a chain over a native generator": "root = link(link(foreign())); step(root.__anext__())",
    "a chain through helpers": "root = helped(link(helped(operator(3)))); step(root.__anext__())",
    "every link in a global": "leaf = operator(3); middle = link(leaf); root = helped(middle); step(root.__anext__())",
    "a chain in a cycle": "c = []; c.append(link(link(numbers(c)))); step(c[0].__anext__())",
    "a deep chain": "root = numbers()\nfor _ in range(20000): root = helped(root)\nstep(root.__anext__())",
    "yield_from_ in a variable": "d = yield_from_(numbers()); y = yield_(1)\nimport warnings; warnings.simplefilter('ignore')",
    "a chain with hooks": "sys.set_asyncgen_hooks(lambda g: None, lambda g: print('hook', flush=True)); root = link(numbers()); step(root.__anext__())",
    "a chain driven by a finalizer": """
class Last:
    def __init__(self): self.g = link(operator(5)); step(self.g.__anext__())
    def __del__(self): print("item", step(self.g.__anext__()), flush=True)
last = Last()
""",
}


@pytest.mark.parametrize("name", CHAINS)
def test_the_interpreter_ends_with_chains_suspended(name):
    ended = run_program(OURS + BODY + CHAIN + CHAINS[name], timeout=120)
    assert ended.returncode == 0, ended
    for word in ("Fatal", "Segmentation", "SystemError"):
        assert word not in ended.stderr, ended.stderr


def test_hooks_of_the_program_never_see_a_generator_of_the_package_itself(program):
    """The sample that rewriting checks itself with runs at the first use, when a loop's hooks may be set."""
    out = program(
        """
        import sys
        seen = []
        sys.set_asyncgen_hooks(lambda g: seen.append(g.__name__), lambda g: seen.append(g.__name__))
        hooks = sys.get_asyncgen_hooks()
        from async_generator import async_generator, yield_
        @async_generator
        async def mine():
            await yield_(1)
        mine().__anext__().close()
        assert sys.get_asyncgen_hooks() == hooks
        print(seen)
        """
    )
    assert out == "['mine']\n"


STREAMING = """
import asyncio, logging, sys, threading, time
from async_generator import isolated, streams, structured

logging.disable()  # asyncio tells of tasks that nobody will await
items = []

async def numbers():
    for number in range(1000):
        await asyncio.sleep(0)
        yield number

MAKE = {
    "isolated": lambda: isolated(numbers()),
    "structured": structured(numbers),
    "merge": lambda: streams.merge(numbers(), numbers()),
}

async def main():
    while True:
        stream = MAKE[sys.argv[1]]()
        async for item in stream:
            items.append(item)

for _ in range(16):
    threading.Thread(target=asyncio.run, args=(main(),), daemon=True).start()
while len(items) < 100:
    time.sleep(0.02)
"""


@pytest.mark.parametrize("kind", ["isolated", "structured", "merge"])
def test_the_interpreter_ends_while_daemon_threads_run_event_loops(kind):
    ended = run_program(STREAMING, kind, timeout=120)
    assert ended.returncode == 0, ended
    assert "Fatal" not in ended.stderr
