"""Finds the code of the pages and runs it. What a block is for, its page says in a comment that the site does not show:

  <!-- builds: FOLDER -->        near the top: the page imports the extension module of that folder, named as the folder
  <!-- uses: FILE -->          near the top: the page's Python imports that file of this repository
  <!-- needs: fastapi uvicorn -->   near the top: the page's Python imports these packages; without one it is skipped
  <!-- loops: asyncio trio -->   near the top: the page's Python runs once for each; for trio its calls are translated
  <!-- prints -->               the next block is what the Python since the last such block has printed
  <!-- raises: SyntaxError -->  the next block raises that
  <!-- not run: reason -->      the next block is not run

Blocks of one page share their names, as if they were one file.
"""

import contextlib
import doctest
import io
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
BLOCK = re.compile(
    r"(?:^<!-- (?P<note>(?!prose)[^\n]*?) -->\n+)?^(?P<fence>```+)(?P<kind>[^\n]*)\n(?P<code>.*?)^(?P=fence)$",
    re.M | re.S,
)
BUILDS = re.compile(r"^<!-- builds: (\S+) -->$", re.M)
USES = re.compile(r"^<!-- uses: (\S+) -->$", re.M)
NEEDS = re.compile(r"^<!-- needs: ([\w. ]+) -->$", re.M)
LOOPS = re.compile(r"^<!-- loops: ([\w ]+) -->$", re.M)
NOTES = ("prints", "traced", "raises: ", "not run: ", "code: ", "example: ")

# How a page's asyncio program is written for trio.
FOR_TRIO = [
    (r"\bimport asyncio\b", "import trio"),
    (r"\basyncio\.run\((\w+)\((.*?)\)\)", r"trio.run(\1\2)"),
    (r"\basyncio\.sleep\b", "trio.sleep"),
]


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    kind: str
    note: str
    code: str

    def __str__(self):
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page):
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text[: found.start("code")].count("\n"), found["kind"].strip(), found["note"] or "", found["code"])
        for found in BLOCK.finditer(text)
    ]


def loops(page):
    """The event loops that a page's programs run under."""
    found = LOOPS.search(page.read_text(encoding="utf-8"))
    return found[1].split() if found else ["asyncio"]


def needs(page):
    """The packages that a page's programs import beside this one."""
    found = NEEDS.search(page.read_text(encoding="utf-8"))
    return found[1].split() if found else []


def build(page):
    """Builds the extension module that a page imports, if it says so."""
    found = BUILDS.search(page.read_text(encoding="utf-8"))
    if found:
        folder = ROOT / found[1]
        if folder.name not in sys.modules:
            sys.path.insert(0, str(ROOT / "tools"))
            import extensions
            import nanobind
            from async_generator import bridge

            # What scikit-build-core tells CMake when a user builds it.
            extensions.load(folder, folder.name, agen_ROOT=bridge.get_cmake_dir(), nanobind_ROOT=nanobind.cmake_dir())


def for_loop(code, loop):
    if loop == "trio":
        for pattern, replacement in FOR_TRIO:
            code = re.sub(pattern, replacement, code)
        assert "asyncio" not in code, f"not translated for trio:\n{code}"
    return code


def run_page(page, loop):
    """Runs the Python of a page from top to bottom and compares what it prints with what the page says."""
    build(page)
    if used := USES.search(page.read_text(encoding="utf-8")):
        sys.path.insert(0, str((ROOT / used[1]).parent))
    names = {"__name__": "__main__"}
    printed = io.StringIO()
    unclaimed = None
    for block in blocks(page):
        if block.kind == "text" and block.note == "prints":
            assert printed.getvalue() == block.code, (
                f"{block}: the page differs from what is printed:\n{printed.getvalue()}"
            )
            printed, unclaimed = io.StringIO(), None
        if block.kind not in ("python", "pycon") or block.note.startswith(("not run: ", "example: ")):
            continue
        code = for_loop(block.code, loop)
        if block.kind == "pycon":
            run_session(block, code, names)
            continue
        expected = re.fullmatch(r"raises: (\w+)", block.note)
        with contextlib.redirect_stdout(printed):
            try:
                exec(compile("\n" * block.line + code, str(page), "exec"), names)
            except Exception as error:
                if not expected or type(error).__name__ != expected[1]:
                    raise
            else:
                assert not expected, f"{block}: raised nothing"
        unclaimed = block if printed.getvalue() else unclaimed
    assert unclaimed is None, f"{unclaimed}: prints, and the page does not say what:\n{printed.getvalue()}"


def run_session(block, code, names):
    """Runs the lines after `>>>`; every answer must be the one on the page."""
    test = doctest.DocTestParser().get_doctest(code, names, str(block), str(block.page), block.line)
    assert test.examples, f"{block}: no line begins with >>>"
    report = io.StringIO()
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    result = runner.run(test, out=report.write, clear_globs=False)
    assert result.failed == 0, report.getvalue()
    names.update(test.globs)
