"""Every block of code on every page is run, or its page says why not."""

import re
import shlex
import subprocess
import sys

import pytest
from pages import DOCS, NOTES, ROOT, blocks, loops, needs, run_page

PAGES = sorted(page for page in DOCS.rglob("*.md"))
NAMES = [str(page.relative_to(DOCS)) for page in PAGES]
# Run by tests of their own: tests/python/test_documentation.py, and below.
ELSEWHERE = {"api.md", "howto/cluster.md"}
# What the programs of docs/howto/cluster.md import beside this package.
CLUSTER = {
    "ray_actor": ["ray"],
    "ray_serve": ["ray.serve"],
    "dask_task": ["distributed"],
    "kafka_topic": ["aiokafka", "confluent_kafka"],
    "grpc_stream": ["grpc"],
}
WITH_PYTHON = [
    (page, loop)
    for page in PAGES
    if str(page.relative_to(DOCS)) not in ELSEWHERE and any(block.kind in ("python", "pycon") for block in blocks(page))
    for loop in loops(page)
]


@pytest.mark.parametrize(
    ("page", "loop"), WITH_PYTHON, ids=[f"{page.relative_to(DOCS)}-{loop}" for page, loop in WITH_PYTHON]
)
def test_python_runs_and_prints_what_the_page_says(page, loop):
    for package in needs(page):
        pytest.importorskip(package, reason=f"{package} has no wheel for this interpreter")
    run_page(page, loop)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_block_says_what_it_is(page):
    known = {"python", "pycon", "cpp", "toml", "cmake", "text", "sh", "mermaid"}
    for block in blocks(page):
        assert block.kind in known or block.kind.startswith("{"), f"{block}: a block of kind {block.kind!r}"
        assert not block.note or block.note.startswith(NOTES) or block.note.startswith("loops: "), (
            f"{block}: {block.note!r}"
        )
        assert block.note != "not run: ", f"{block}: say why"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_exist(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for block in blocks(page):
        if block.kind != "sh" or block.note.startswith("not run: "):
            continue
        for line in block.code.splitlines():
            command = shlex.split(line, comments=True)
            if not command:
                continue
            if command[0] == "make":
                wanted = [word for word in command[1:] if "=" not in word and not word.startswith("-")]
                assert set(wanted) <= targets, f"{block}: {line}"
            elif command[:3] == ["python", "-m", "async_generator"]:
                asked = subprocess.run(
                    [sys.executable, "-m", "async_generator", "--help"], capture_output=True, text=True
                )
                assert asked.returncode == 0, asked.stderr
                for word in command[3:]:
                    assert not word.startswith("--") or word in asked.stdout, f"{block}: {line}"
            elif command[0].startswith("tools/"):
                assert (ROOT / command[0]).exists(), f"{block}: {line}"
            else:
                assert command[:2] in (["pip", "install"], ["git", "clone"]), f"{block}: nobody checks {line!r}"


def test_the_pages_show_the_figures_that_were_measured():
    done = subprocess.run([sys.executable, ROOT / "tools" / "figures", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_cpp_is_pasted_from_what_is_compiled():
    done = subprocess.run([sys.executable, ROOT / "tools" / "docs-cpp", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_streaming_server_prints_what_its_page_says():
    page = DOCS / "howto" / "streaming-server.md"
    for package in needs(page):
        pytest.importorskip(package, reason=f"{package} has no wheel for this interpreter")
    command = [sys.executable, ROOT / "examples" / "python" / "streaming_server.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    printed = [block.code for block in blocks(page) if block.note == "prints"]
    assert (done.stdout, done.stderr) == ("".join(printed), "")


@pytest.mark.parametrize("name", CLUSTER)
def test_a_program_for_a_cluster_prints_what_its_page_says(name):
    for package in CLUSTER[name]:
        pytest.importorskip(
            package, reason=f"{package} is not installed; docs/dependencies.md says which are not by default"
        )
    program = ROOT / "examples" / "python" / "cluster" / f"{name}.py"
    said, shown = {}, ""
    for block in blocks(DOCS / "howto" / "cluster.md"):
        if block.note == "prints":
            said[shown] = block.code
        else:
            shown = block.note.removeprefix("code: ").partition("#")[0]
    assert set(said) == {f"examples/python/cluster/{each}.py" for each in CLUSTER}
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=180)
    assert (done.stdout, done.returncode) == (said[f"examples/python/cluster/{name}.py"], 0), done.stderr


def test_tracing_reports_what_its_page_says(tmp_path):
    page = DOCS / "howto" / "tracing.md"
    found = {block.note: block for block in blocks(page)} | {
        block.kind: block for block in blocks(page) if block.kind == "python"
    }
    (tmp_path / "program.py").write_text(found["python"].code)
    command = [sys.executable, "-m", "async_generator", "--trace", "program.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    said = re.sub(r"\d+\.\d+ s$", "0.043 s", done.stderr, flags=re.M).replace(f"{tmp_path}/", "")
    assert said == found["traced"].code
    assert done.stdout == found["prints"].code
