"""What compilers differ in stands in one header, and CMake asks none of them for modules."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPILER = ROOT / "include" / "agen" / "detail" / "compiler.hpp"
SOURCES = [path for folder in ("include", "python/engine") for path in sorted((ROOT / folder).rglob("*.[ch]pp"))]
# MSVC refuses the first two and the fourth; it warns of the third.
SPECIFIC = re.compile(r"__attribute__|__asm__|\[\[(?:gnu|clang|msvc)::|__builtin_expect|__declspec")


def code(path):
    return re.sub(r"//.*", "", path.read_text())


@pytest.mark.parametrize("text", ["__attribute__((cold)) void f();", "[[gnu::noinline]] void f();", "__declspec(x)"])
def test_what_one_compiler_knows_is_seen(text):
    assert SPECIFIC.search(text)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_only_one_header_names_what_one_compiler_knows(path):
    assert path == COMPILER or not SPECIFIC.search(code(path))


def test_static_thread_locals_are_for_glibc_alone():
    """The loader of musl refuses a module that has one; there it would be built, and could not be imported."""
    uses = [path for path in SOURCES if "tls_model" in code(path)]
    assert uses == [COMPILER]
    assert re.search(r"#if defined\(__GLIBC__\)\n#define AGEN_STATIC_TLS .*initial-exec", COMPILER.read_text())


def test_the_modules_function_is_exported_the_way_cpython_does_it():
    assert "PyMODINIT_FUNC PyInit__engine()" in (ROOT / "python" / "engine" / "module.cpp").read_text()


def test_no_compiler_looks_for_modules():
    assert "set(CMAKE_CXX_SCAN_FOR_MODULES OFF)" in (ROOT / "python" / "CMakeLists.txt").read_text()
