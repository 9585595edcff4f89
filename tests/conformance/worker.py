"""Runs scenarios on the Python implementations of one interpreter: a JSON line for each answer, on standard output.

worker.py [--form FORM ...] [FILE ...]
"""

import argparse
import gc
import json
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))

import forms
import hosts
import loop_runner
import runner
import table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--form", nargs="*", choices=forms.COLUMNS, default=forms.COLUMNS)
    parser.add_argument("files", nargs="*", type=Path)
    arguments = parser.parse_args()
    getattr(gc, "freeze", gc.collect)()  # what is collected then is what scenarios left
    for scenario in table.load(arguments.files):
        for form in arguments.form:
            row = {"scenario": scenario.name, "implementation": form}
            why = forms.expressible(scenario.body, form)
            if form in hosts.LOOPS and not hosts.LOOPS[form]:
                continue  # trio has no wheel for this interpreter
            if why:
                row["without"] = why
            else:
                answers = loop_runner.same_on_all_loops if form in hosts.LOOPS else runner.transcript
                try:
                    row["answers"] = answers(scenario, form)
                except Exception:
                    row["broken"] = traceback.format_exc()
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
