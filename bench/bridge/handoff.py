"""Items from a C++ thread to Python's event loop: a channel against call_soon_threadsafe for each item, in the same run.

  handoff.py [--json FILE] [--items N] [--rounds N]

Run it with the Python of an environment (tools/environment). The figures: CPU of the whole process per item when the
thread pushes as fast as it can, and the time from push to consumer when items are 1 ms apart. The contenders take turns;
the smallest CPU and the median of all latencies of each count. Then fairness: how late a task that sleeps for 1 ms wakes
beside a channel that never runs dry.
"""

import argparse
import asyncio
import json
import platform
import statistics
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import extensions  # noqa: E402
import machine  # noqa: E402
import tables  # noqa: E402

handoff = extensions.load(ROOT / "bench" / "bridge" / "handoff", "handoff")
CAPACITY = 1024
BASELINE = "call_soon_threadsafe, C++ thread"


async def through_channel(n, gap, note):
    async for item in handoff.channel(n, CAPACITY, gap):
        note(item)


async def through_calls(n, gap, note):
    queue = asyncio.Queue()
    handoff.calls(n, asyncio.get_running_loop().call_soon_threadsafe, queue.put_nowait, gap)
    for _ in range(n):
        note(await queue.get())


async def through_python_calls(n, gap, note):
    queue = asyncio.Queue()
    call = asyncio.get_running_loop().call_soon_threadsafe

    def produce():
        due = time.monotonic()
        for i in range(n):
            if gap:
                due += gap / 1e6
                time.sleep(max(0, due - time.monotonic()))
                call(queue.put_nowait, time.monotonic_ns())
            else:
                call(queue.put_nowait, i)

    threading.Thread(target=produce, daemon=True).start()
    for _ in range(n):
        note(await queue.get())


async def through_executor(n, gap, note):
    import queue

    items = queue.Queue()
    handoff.calls(n, lambda put, item: put(item), items.put, gap)
    loop = asyncio.get_running_loop()
    for _ in range(n):
        note(await loop.run_in_executor(None, items.get))


def uvloop_run(main):
    import uvloop

    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(main)
    finally:
        loop.close()


def trio_run(main):
    import trio

    async def awaits():
        await main

    trio.run(awaits)


# name: (how, runner, the part of the items it gets: what costs a hundred times more need not run for a minute)
CONTENDERS = {
    BASELINE: (through_calls, asyncio.run, 0.05),
    "call_soon_threadsafe, Python thread": (through_python_calls, asyncio.run, 0.1),
    "run_in_executor for each item": (through_executor, asyncio.run, 0.02),
    "channel, asyncio": (through_channel, asyncio.run, 1),
    "call_soon_threadsafe, C++ thread, uvloop": (through_calls, uvloop_run, 0.05),
    "channel, uvloop": (through_channel, uvloop_run, 1),
    "channel, trio": (through_channel, trio_run, 1),
}


def cpu_per_item(how, run, n):
    before = time.process_time_ns()
    run(how(n, 0, lambda item: None))
    return (time.process_time_ns() - before) / n


def latencies(how, run, n):
    late = []
    run(how(n, 1000, lambda item: late.append(time.monotonic_ns() - item)))
    return late[n // 10 :]


def measure(items, rounds):
    cpu = {name: [] for name in CONTENDERS}
    latency = {name: [] for name in CONTENDERS}
    for number in range(rounds):
        print(f"handoff: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        for name, (how, run, part) in list(CONTENDERS.items()):
            try:
                cpu[name].append(cpu_per_item(how, run, max(200, int(items * part))))
                latency[name] += latencies(how, run, 300)
            except ImportError as missing:
                print(f"handoff: without {name}: {missing}", file=sys.stderr)
                del CONTENDERS[name]
    return [
        {"case": name, "cpu_ns_per_item": min(cpu[name]), "latency_us": statistics.median(latency[name]) / 1000}
        for name in CONTENDERS
    ]


def lateness(slice_us, seconds=2):
    """Microseconds that a 1 ms ticker is late beside a consumer that always has an item: (median, 99 of 100, worst)."""

    async def main():
        late = []
        end = time.monotonic() + seconds

        async def ticker():
            while time.monotonic() < end:
                before = time.monotonic()
                await asyncio.sleep(0.001)
                late.append((time.monotonic() - before - 0.001) * 1e6)

        ticks = asyncio.ensure_future(ticker())
        stream = handoff.channel(10**12, CAPACITY, 0, slice_us)
        async for _ in stream:
            if time.monotonic() > end:
                break
        await stream.aclose()
        await ticks
        return late

    late = sorted(asyncio.run(main()))
    return statistics.median(late), late[len(late) * 99 // 100], late[-1]


FAIRNESS = {"0.1 ms": 100, "0.25 ms (the default)": 250, "1 ms": 1000, "10 ms": 10_000, "none": 10**12}


def fairness():
    rows = []
    for name, slice_us in FAIRNESS.items():
        median, most, worst = lateness(slice_us)
        rows.append({"slice": name, "late_us_median": median, "late_us_99": most, "late_us_worst": worst})
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--items", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rows = measure(arguments.items, arguments.rounds)
    print(f"CPython {platform.python_version()}, capacity {CAPACITY}; the baseline is: {BASELINE}\n")
    print(tables.handoff(rows, BASELINE))
    fair = fairness()
    print(f"\n{tables.fairness(fair)}")
    if arguments.json:
        result = {**machine.describe(), "python": platform.python_version(), "capacity": CAPACITY, "baseline": BASELINE}
        result |= {"rows": rows, "fairness": fair}
        Path(arguments.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
