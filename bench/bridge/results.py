"""One result of a C++ thread: a future against call_soon_threadsafe(future.set_result), in the same run.

  results.py [--json FILE] [--rounds N] [--results N]

Run it with the Python of an environment (tools/environment). The figures: CPU of the whole process per result, with 1 and
with 100 awaited at a time. The two take turns; the smallest of each counts.
"""

import argparse
import asyncio
import json
import platform
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import extensions  # noqa: E402
import machine  # noqa: E402
import tables  # noqa: E402

handoff = extensions.load(ROOT / "bench" / "bridge" / "handoff", "handoff")


async def by_future(loop):
    return await handoff.result()


async def by_call(loop):
    future = loop.create_future()
    handoff.result_by_call(loop.call_soon_threadsafe, future.set_result)
    return await future


async def results(ask, at_once, n):
    loop = asyncio.get_running_loop()

    async def asks():
        for _ in range(n // at_once):
            await ask(loop)

    before = time.process_time_ns()
    await asyncio.gather(*(asks() for _ in range(at_once)))
    return (time.process_time_ns() - before) / n


def loops():
    yield "asyncio", asyncio.new_event_loop
    try:
        import uvloop
    except ImportError as missing:
        print(f"results: without uvloop: {missing}", file=sys.stderr)
    else:
        yield "uvloop", uvloop.new_event_loop


def measure(n, rounds):
    rows = []
    for name, new_loop in loops():
        for at_once in (1, 100):
            cost = {by_future: [], by_call: []}
            for _ in range(rounds):
                for ask, measured in cost.items():
                    loop = new_loop()
                    measured.append(loop.run_until_complete(results(ask, at_once, n)))
                    loop.close()
            rows.append(
                {
                    "loop": name,
                    "at_once": at_once,
                    "future_ns": min(cost[by_future]),
                    "call_soon_threadsafe_ns": min(cost[by_call]),
                }
            )
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--results", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rows = measure(arguments.results, arguments.rounds)
    print(tables.one_result(rows))
    if arguments.json:
        result = {**machine.describe(), "python": platform.python_version(), "rows": rows}
        Path(arguments.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
