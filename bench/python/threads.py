"""How generators scale over threads, without the GIL: two threads against one, each with generators of its own.

  PYTHON -X gil=0 threads.py [--rounds N] [--json FILE]

The contenders take turns, and the best of many short rounds counts: other work on the machine disturbs the rest.
Prints a line for each case; 2.0 would be perfect. Needs two processors and an interpreter without the GIL.
"""

import argparse
import json
import sys
import sysconfig
import threading
import time
from pathlib import Path

import native
from contenders import bodies, load_ours
from driver import consume, consume_short, run

ITEMS = 100_000
NATIVE = "native async generator"


def long(function):
    return lambda: run(consume(function(ITEMS)))


def short(function):
    return lambda: run(consume_short(function, ITEMS // 10))


def cases():
    ours = bodies(load_ours(), "ours")
    return {
        f"{NATIVE}, long": long(native.items),
        "await yield_(), long": long(ours.items),
        "yield_from_() at depth 3, long": long(ours.nested(3)),
        f"{NATIVE}, short": short(native.items),
        "await yield_(), short": short(ours.items),
        "native loops at depth 3, short": short(native.nested(3)),
        "yield_from_() at depth 3, short": short(ours.nested(3)),
    }


def seconds(work, threads):
    """From the moment that all of `threads` begin until the last one is done."""
    barrier = threading.Barrier(threads)
    times = []

    def body():
        barrier.wait()
        begun = time.perf_counter()
        work()
        times.append((begun, time.perf_counter()))

    workers = [threading.Thread(target=body) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return max(end for _, end in times) - min(begun for begun, _ in times)


class Scaling:
    """The best times of a case so far, by one thread and by two."""

    def __init__(self, work):
        self.work = work
        self.best = {1: float("inf"), 2: float("inf")}

    def measure(self):
        for threads in self.best:
            self.best[threads] = min(self.best[threads], seconds(self.work, threads))

    @property
    def speed_up(self):
        return 2 * self.best[1] / self.best[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if not sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise SystemExit("threads.py: this interpreter has a GIL; give one without, such as 3.13t")
    measured = {name: Scaling(work) for name, work in cases().items()}
    for _ in range(arguments.rounds):
        for case in measured.values():
            case.measure()
    results = {name: round(case.speed_up, 2) for name, case in measured.items()}
    for name, speed_up in results.items():
        print(f"{name:36} x{speed_up:.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"python": sys.version.split()[0], "speed-up": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
