"""Measures this package against native async generators and against PyPI's 1.10, on every interpreter found.

  bench.py time          nanoseconds per item; one process an interpreter, contenders in turn, minimum of many rounds
  bench.py instructions  instructions per item under callgrind: no noise, the figure to quote

Each interpreter is set up by tools/environment first, unless it is given as a path: such a one runs unchanged, with the
PYTHONPATH of the caller, which is the quick way to compare two builds of the engine.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cases import CASES
from report import table

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from machine import describe  # noqa: E402

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RESULTS = HERE / "results"
MEASURE = HERE / "measure.py"


def pythons(names):
    """[(tag, path)]: paths as they are, versions through tools/environment, which builds the package where it is stale."""
    paths = [name for name in names if os.sep in name]
    versions = [name for name in names if os.sep not in name]
    if versions or not names:
        command = [sys.executable, ROOT / "tools" / "environment", *versions]
        paths += subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return [(tag(path), path) for path in paths]


def tag(path):
    code = "import sys, sysconfig as s; print('%d.%d' % sys.version_info[:2] + 't' * bool(s.get_config_var('Py_GIL_DISABLED')))"
    return subprocess.run([path, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def environment():
    """The children's environment: fixed hashing, 1.10 beside the package, nothing else that changes counts."""
    peer = subprocess.run([sys.executable, ROOT / "tools" / "peer"], capture_output=True, text=True)
    if peer.returncode:
        print(f"bench: going on without 1.10: {peer.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
    return {**os.environ, "PYTHONHASHSEED": "0", "AGEN_PEER": peer.stdout.strip()}


def child(command, env):
    done = subprocess.run([str(c) for c in command], env=env, capture_output=True, text=True, cwd=HERE)
    if done.returncode:
        sys.stderr.write(done.stderr[-4000:])
        raise SystemExit(f"bench: failed: {' '.join(map(str, command))}")
    # valgrind's own messages begin with ==; the rest is for the reader of the table.
    for line in done.stderr.splitlines():
        if not line.startswith("=="):
            print(f"bench: {line}", file=sys.stderr)
    return json.loads(done.stdout)["measured"]


def selection(arguments):
    chosen = ["--case", *arguments.case] if arguments.case else []
    return chosen + (["--contender", *arguments.contender] if arguments.contender else [])


def measure_time(path, arguments, env):
    return child([path, MEASURE, "time", "--seconds", arguments.seconds, *selection(arguments)], env)


def measure_instructions(path, arguments, env):
    """One process under callgrind for all cases. It dumps its counts at each mark; every third dump is a case's second run.

    The dumps: up to the first mark (warming), the short run, the long run; their difference over the difference of
    lengths is the cost of an item, free of everything that happens once a run.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--dump-before=getppid"]
        tree = ["--tree", arguments.tree] if arguments.tree else []
        sections = child([*valgrind, path, MEASURE, "instructions", *tree, *selection(arguments)], env)
        counts = [totals(Path(f"{out}.{i + 1}")) for i in range(3 * len(sections))]
    measured = {}
    for i, (case, contender, low, high) in enumerate(sections):
        short, long = counts[3 * i + 1], counts[3 * i + 2]
        measured.setdefault(case, {})[contender] = (long - short) / (high - low)
    return measured


def totals(dump):
    text = dump.read_text() if dump.exists() else ""
    found = re.search(r"^totals: (\d+)", text, re.M)
    if not found or "dump-before" not in text:
        raise SystemExit("bench: callgrind did not dump at a mark; is getppid a symbol of this C library?")
    return int(found.group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["time", "instructions"])
    parser.add_argument(
        "--python", nargs="*", default=[], metavar="VERSION|PATH", help="default: every interpreter found"
    )
    parser.add_argument("--case", nargs="*", choices=[case.name for case in CASES] + ["memory"], help="default: all")
    parser.add_argument("--contender", nargs="*", choices=["native", "ours", "1.10"], help="default: all three")
    parser.add_argument("--seconds", type=float, default=1.0, help="time: how long to go on with each case")
    parser.add_argument(
        "--tree", type=int, default=0, metavar="NODES", help="instructions: a smaller tree, which is quicker"
    )
    parser.add_argument(
        "--json", type=Path, help="where to write the figures; a complete run also writes bench/python/results"
    )
    arguments = parser.parse_args()
    if arguments.what == "instructions" and not shutil.which("valgrind"):
        raise SystemExit("bench: instructions are counted by valgrind; on Debian: apt-get install -y valgrind")
    memory = not arguments.case or "memory" in arguments.case
    if arguments.case:
        arguments.case = [name for name in arguments.case if name != "memory"]
    env = environment()
    results = {}
    for name, path in pythons(arguments.python):
        measured = {}
        if arguments.case is None or arguments.case:
            measured = {"time": measure_time, "instructions": measure_instructions}[arguments.what](
                path, arguments, env
            )
        if memory:
            chosen = ["--contender", *arguments.contender] if arguments.contender else []
            measured |= child([path, MEASURE, "memory", *chosen], env)
        results[name] = measured
        if arguments.tree:
            print(f"(the tree has {arguments.tree:,} nodes in this run)")
        print(table(arguments.what, name, measured), flush=True)
    complete = not (arguments.python or arguments.case or arguments.contender or arguments.tree)
    files = [arguments.json] if arguments.json else []
    files += [RESULTS / f"{arguments.what}.json"] if complete else []
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"what": arguments.what, **describe(), "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
