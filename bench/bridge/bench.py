"""Instructions per item of C++ generators in Python against the same in native syntax, under callgrind.

bench.py [VERSION ...]       default: every interpreter found, and the figures are kept in instructions.json; each is set
                             up by tools/environment
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "python"))

from bench import child, pythons, totals  # noqa: E402

sys.path[:0] = [str(HERE), str(ROOT / "tools")]
import machine  # noqa: E402
import tables  # noqa: E402

# The ratio that each case must keep, and the one aimed at.
BARS = {
    "items": (0.50, 0.33),
    "items, in lists of 64": (0.17, 0.13),  # 400 and 300 instructions on 3.13
    "items, in arrays of 64": (0.044, 0.03),  # 100 and 70
    "await a coroutine that answers at once": (0.80, 0.65),
    "await a coroutine that suspends": (0.80, 0.65),
}


def build(tag, python):
    """Compiles the bodies for one interpreter; returns the folder they are in."""
    folder = ROOT / "build" / "bench-bridge" / tag
    cmake = ROOT / ".venv" / "tools" / "bin" / "cmake"
    settings = ["-G", "Ninja", f"-DPython_EXECUTABLE={python}", f"-DCMAKE_MAKE_PROGRAM={cmake.parent / 'ninja'}"]
    for command in ([cmake, "-S", HERE, "-B", folder, *settings], [cmake, "--build", folder]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
    return folder


def measure(python, folder):
    """{case: {contender: instructions per item}}"""
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary, "out")
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--dump-before=getppid"]
        sections = child(
            [*valgrind, python, HERE / "measure.py", folder], {"PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin"}
        )
        counts = [totals(Path(f"{out}.{i + 1}")) for i in range(3 * len(sections))]
    measured = {}
    for i, (case, contender, low, high) in enumerate(sections):
        measured.setdefault(case, {})[contender] = (counts[3 * i + 2] - counts[3 * i + 1]) / (high - low)
    return measured


def main():
    results = {}
    for tag, python in pythons(sys.argv[1:]):
        results[tag] = measure(python, build(tag, python))
        for case, counts in results[tag].items():
            ratio = counts["C++"] / counts["native"]
            must, aim = BARS[case]
            mark = "" if ratio <= must else "  MISSED"
            print(
                f"{tag:6} {case:40} native {counts['native']:7.0f}  C++ {counts['C++']:7.0f}  ratio {ratio:.3f}"
                f"  (must {must:.2f}, aim {aim:.2f}){mark}",
                flush=True,
            )
    print("\n" + tables.instructions(results))
    if not sys.argv[1:]:
        kept = {"what": "instructions", **machine.describe(), "results": results}
        (HERE / "instructions.json").write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
