"""What the tools that look at a running program show of isolated generators and structured coroutines."""

import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
import asyncio, faulthandler, os, subprocess, sys
from async_generator import async_generator, structured

@async_generator(isolated=True)
async def rows():
    yield 0
    look()                        # in the consumer's step
    yield 1
    await resting()
    yield 2

async def resting():
    asyncio.get_running_loop().call_later(0.01, look_at_tasks)
    await asyncio.sleep(0.02)     # the consumer waits for the body
    look()                        # after a wait

@structured
async def consumer():
    total = 0
    async for row in rows():
        total += row
    return total

def look():
    pass

def look_at_tasks():
    pass

async def main():
    print("total", await asyncio.create_task(consumer(), name="the consumer"))
"""


def run_program(text, commands=""):
    """What a program prints: ours, with these lines behind it."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + textwrap.dedent(text) + "\nasyncio.run(main())\n"],
        input=commands,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "total 3" in done.stdout
    return done


def functions(lines):
    """Our program's functions in lines of a traceback."""
    return [name for line in lines for name in ("rows", "resting", "consumer", "main") if f" {name}" in line]


def test_pdb_stops_in_an_isolated_body_and_shows_its_consumer(tmp_path):
    """`where` shows the body, and below it its consumer."""
    file = tmp_path / "debugged.py"
    program = PROGRAM.replace("    yield 1\n", "    breakpoint()\n    yield 1\n")
    file.write_text(program + "\nasyncio.run(main())\n")
    done = subprocess.run(
        [sys.executable, str(file)],
        input="where\nnext\ncontinue\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    stack = [line for line in done.stdout.splitlines() if "debugged.py(" in line]
    assert any("rows()" in line for line in stack) and any("consumer()" in line for line in stack), done.stdout
    assert "total 3" in done.stdout


def test_pdb_steps_through_a_structured_coroutine(tmp_path):
    file = tmp_path / "debugged.py"
    file.write_text(PROGRAM.replace("    total = 0\n", "    breakpoint()\n    total = 0\n") + "\nasyncio.run(main())\n")
    done = subprocess.run(
        [sys.executable, str(file)],
        input="next\n" * (sys.version_info >= (3, 13)) + "next\np 'total is', total\nwhere\ncontinue\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "('total is', 0)" in done.stdout, done.stdout
    assert "consumer()" in done.stdout and "total 3" in done.stdout


@pytest.mark.engine(reason="the package's own Python has frames")
def test_faulthandler_shows_the_body_above_its_consumer():
    """As long as the body yields at once, there is nothing between the two; else the frames that wait for it."""
    done = run_program(
        """
        def look():
            sys.stderr.write("--\\n")
            sys.stderr.flush()
            faulthandler.dump_traceback(all_threads=False)
        """
    )
    _, at_once, after_a_wait = done.stderr.split("--\n")
    assert functions(at_once.splitlines()) == ["rows", "consumer"]
    assert functions(after_a_wait.splitlines()) == ["resting", "rows", "consumer"]
    assert "_isolated.py" not in at_once and "_isolated.py" in after_a_wait


@pytest.mark.skipif(sys.version_info < (3, 14), reason="asyncio's call graph is new in 3.14")
def test_the_call_graph_leads_from_the_body_to_its_consumer():
    """In the body, it shows the consumer in whose step it runs; from outside, its task is awaited by the consumer's."""
    done = run_program(
        """
        def look():
            asyncio.print_call_graph(file=sys.stdout)

        def look_at_tasks():
            (task,) = (task for task in asyncio.all_tasks() if task.get_name() == "generator rows")
            print("--")
            asyncio.print_call_graph(task, file=sys.stdout)
            print("--")
        """
    )
    inside, outside, _ = done.stdout.split("--\n")
    assert "name='generator rows'" in inside
    assert "async rows()" in inside and "async consumer()" in inside
    assert "async resting()" in outside and "async rows()" in outside
    awaited_by = outside.partition("Awaited by:")[2]
    assert "the consumer" in awaited_by and "async consumer()" in awaited_by and "async main()" in awaited_by


LOOK_FROM_OUTSIDE = """
def look_at_tasks():
    for command in ("ps", "pstree"):
        done = subprocess.run([sys.executable, "-m", "asyncio", command, str(os.getpid())], capture_output=True, text=True)
        print("==")
        print(done.stdout, done.stderr)
    print("==")
"""


@pytest.mark.skipif(sys.version_info < (3, 14), reason="`python -m asyncio ps` is new in 3.14")
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere reading another process needs a permission")
def test_asyncio_ps_and_pstree_show_the_task_and_who_waits_for_it():
    """They read another process's memory, in which no coroutine leads from the task to the body."""
    done = run_program(LOOK_FROM_OUTSIDE)
    _, ps, pstree, _ = done.stdout.split("==\n")
    if "ermission" in ps or "ermitted" in ps:
        pytest.skip("no permission to read another process's memory")
    (line,) = (line for line in ps.splitlines() if "generator rows" in line)
    assert "_own_task" in line and "the consumer" in line
    assert "resting" not in line
    assert (
        pstree.index("Task-1")
        < pstree.index("the consumer")
        < pstree.index("generator rows")
        < pstree.index("_own_task")
    )
