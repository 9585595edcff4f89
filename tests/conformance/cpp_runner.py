"""The C++ runner as a long-lived process: scenarios go in by a pipe, answers come back."""

from __future__ import annotations

import subprocess
from pathlib import Path

from lowering import lowered
from table import Scenario


class Died(Exception):
    """The process ended in the middle of a scenario; the text is what it said last."""


class CppRunner:
    """`with CppRunner(program) as cpp: cpp.transcript(scenario)`. A process that dies is started again for the next one."""

    def __init__(self, program: Path) -> None:
        self.program = program
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> CppRunner:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> str:
        """Ends the process, and returns what it wrote on standard error."""
        if self.process is None:
            return ""
        said = self.process.communicate()[1]
        status = self.process.returncode
        self.process = None
        return said if status == 0 and not said else f"status {status}: {said}"

    def transcript(self, scenario: Scenario) -> list[list[str]]:
        """The answers to each line of the consumer. Raises NoCounterpart, or Died."""
        text = lowered(scenario)
        if self.process is None:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            self.process = subprocess.Popen([str(self.program)], text=True, **pipes)
        assert self.process.stdin and self.process.stdout
        answers: list[list[str]] = []
        try:
            self.process.stdin.write(text)
            self.process.stdin.flush()
            for line in self.process.stdout:
                if line == "done\n":
                    return answers
                if line == "step\n":
                    answers.append([])
                else:
                    answers[-1].append(line.strip())
        except BrokenPipeError:
            pass
        raise Died(self.stop())
