"""The headers in include/agen form layers: none includes itself by way of others, and none is included at another's end."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INCLUDE = ROOT / "include" / "agen"
HEADERS = sorted([*INCLUDE.rglob("*.hpp"), *INCLUDE.rglob("*.h")])
OWN = re.compile(r'^#include "(.+)"', re.MULTILINE)


def includes(header):
    return [(header.parent / name).resolve() for name in OWN.findall(header.read_text())]


def find_cycle(graph):
    """A path of headers that ends where it begins; empty if there is none."""
    done = set()

    def visit(node, path):
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        found = next((cycle for after in graph[node] if (cycle := visit(after, [*path, node]))), [])
        done.add(node)
        return found

    return next((cycle for node in graph if (cycle := visit(node, []))), [])


def test_a_cycle_is_found():
    assert find_cycle({"a": ["b"], "b": ["c"], "c": ["b"]}) == ["b", "c", "b"]
    assert find_cycle({"a": ["b", "c"], "b": ["c"], "c": []}) == []


def test_no_header_includes_itself_by_way_of_others():
    assert len(HEADERS) > 30
    cycle = find_cycle({header: includes(header) for header in HEADERS})
    assert not cycle, " -> ".join(str(header.relative_to(INCLUDE)) for header in cycle)


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: str(header.relative_to(INCLUDE)))
def test_what_a_header_includes_comes_before_its_declarations(header):
    text = header.read_text()
    last = max((match.start() for match in OWN.finditer(text)), default=0)
    first = re.search(r"^namespace ", text, re.MULTILINE)
    assert first is None or last < first.start()


def test_the_tests_that_the_headers_name_exist():
    """Where a header decides by itself what lifecycle.hpp rules, it names the test that holds the two together."""
    sources = "".join(source.read_text() for source in (ROOT / "tests" / "cpp").glob("*_test.cpp"))
    defined = {f"{suite}.{name}" for suite, name in re.findall(r"^TEST\((\w+), (\w+)\)", sources, re.MULTILINE)}
    comments = "".join(line for header in HEADERS for line in header.read_text().splitlines() if "//" in line)
    named = set(re.findall(r"\b(?:Lifecycle|Driver)\.[A-Z]\w+", comments))
    assert len(named) >= 3
    assert named <= defined
