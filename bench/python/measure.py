"""Runs the cases in this process and prints one JSON object; the interpreter under test runs this.

measure.py time         nanoseconds per item: contenders take turns, the minimum of many rounds counts
measure.py instructions marks for callgrind, which dumps its counts at each; run by instructions.py only
measure.py memory       bytes of one suspended generator
"""

import argparse
import gc
import json
import os
import platform
import sys
import time
import tracemalloc

import driver
from cases import BY_NAME, CASES
from contenders import NATIVE, OURS, PEER, load

# Deep nesting is recursion in native and in 1.10.
sys.setrecursionlimit(20_000)


def mark():
    """A place where callgrind is told to dump its counts: a C library call that no other code here makes."""
    os.getppid()


def plan(arguments):
    """(case, contender, its generators, run) in the order in which they are measured."""
    own_syntax, with_yield = load(arguments.contender)
    for name in arguments.case:
        case = BY_NAME[name]
        yield case, with_yield if case.native_syntax else own_syntax


def measure_time(arguments):
    """Minimum nanoseconds per item. A round runs each contender once; 1.10 sits out most of them."""
    clock = time.perf_counter
    results = {}
    for case, apis in plan(arguments):
        best = {}
        lengths = {name: case.length_of(name) for name in apis}
        for n in lengths.values():
            case.prepare(n)
        end = clock() + arguments.seconds
        rounds = 0
        while rounds < 3 or clock() < end:
            for name, api in apis.items():
                if name == PEER and rounds % 16:
                    continue
                gc.collect(0)
                start = clock()
                case.run(api, lengths[name])
                best[name] = min(best.get(name, 1e9), clock() - start)
            rounds += 1
        results[case.name] = {name: spent / lengths[name] * 1e9 for name, spent in best.items()}
    return results


def measure_instructions(arguments):
    """Runs each case at two lengths between marks; returns what was run, in the order of the marks."""
    sections = []
    for case, apis in plan(arguments):
        for name, api in apis.items():
            low, high = case.spans_of(name)
            if case.name == "tree" and arguments.tree:
                high = min(high, arguments.tree)
            for n in (low, high):
                case.prepare(n)
            # Specialised bytecode, caches and freelists are warm before the first mark; a small tree does for the large one.
            case.run(api, max(low, 100))
            case.run(api, high if case.name != "tree" else min(high, 500))
            mark()
            case.run(api, low)
            mark()
            case.run(api, high)
            mark()
            sections.append((case.name, name, low, high))
    return sections


def measure_memory(arguments, count=5000):
    """Bytes that one generator suspended at a yield holds, its body included."""
    own_syntax, with_yield = load(arguments.contender)
    results = {}
    for label, apis in (("memory", own_syntax), ("memory-native", with_yield)):
        for name, api in apis.items():
            driver.run(_first(api.items(1)))
            kept = [None] * count
            gc.collect()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            for i in range(count):
                kept[i] = generator = api.items(1)
                driver.run(_first(generator))
            del generator
            results.setdefault(label, {})[name] = (tracemalloc.get_traced_memory()[0] - before) / count
            tracemalloc.stop()
            for generator in kept:
                driver.run(_close(generator))
            del kept, generator
    return results


async def _first(generator):
    return await generator.__anext__()


async def _close(generator):
    await generator.aclose()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["time", "instructions", "memory"])
    parser.add_argument("--case", nargs="*", default=[case.name for case in CASES], choices=list(BY_NAME))
    parser.add_argument("--contender", nargs="*", default=[NATIVE, OURS, PEER], choices=[NATIVE, OURS, PEER])
    parser.add_argument("--seconds", type=float, default=1.0, help="how long to go on with each case")
    parser.add_argument("--tree", type=int, default=0, help="nodes of the tree, when not the full size")
    arguments = parser.parse_args()
    gc.collect()
    gc.disable()
    measured = {"time": measure_time, "instructions": measure_instructions, "memory": measure_memory}[arguments.what](
        arguments
    )
    json.dump({"python": platform.python_version(), "measured": measured}, sys.stdout)


if __name__ == "__main__":
    main()
