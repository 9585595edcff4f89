"""What compilers differ in stands in one header, and CMake asks none of them for modules."""

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPILER = ROOT / "include" / "agen" / "detail" / "compiler.hpp"
SOURCES = [path for folder in ("include", "python/engine") for path in sorted((ROOT / folder).rglob("*.[ch]pp"))]
# MSVC refuses the first two and the fourth; it warns of the third.
SPECIFIC = re.compile(r"__attribute__|__asm__|\[\[(?:gnu|clang|msvc)::|__builtin_expect|__declspec")

CLANG = next(filter(None, map(shutil.which, ("clang++-19", "clang++-22", "clang++-21", "clang++-20", "clang++"))), None)
OLDEST = shutil.which("clang++-16")
GXX = shutil.which("g++")
MINGW = shutil.which("x86_64-w64-mingw32-g++-posix")
# Over libraries that need not be here.
OVER_OTHERS = {"asio.hpp", "asio_awaitable.hpp", "execution.hpp", "nanobind.hpp", "pybind11.hpp", "python.hpp"}
HEADERS = sorted({path.name for path in (ROOT / "include" / "agen").glob("*.hpp")} - OVER_OTHERS)


def including(names):
    return "".join(f"#include <agen/{name}>\n" for name in names)


def checks(*command):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def part(path):
    return getattr(path, "name", path)


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


@pytest.mark.skipif(CLANG is None, reason="no clang here (Debian: clang-19)")
@pytest.mark.parametrize("path", ["library", *sorted((ROOT / "python" / "engine").glob("*.cpp"))], ids=part)
def test_what_only_msvc_compiles_parses_without_extensions_of_other_compilers(path, tmp_path):
    if path == "library":
        path = tmp_path / "library.cpp"
        path.write_text(including(HEADERS))
    elif not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        pytest.skip("no C headers of Python here (Debian: python3-dev)")
    flags = ["-fsyntax-only", "-std=c++20", "-fms-extensions", "-DAGEN_MSVC", "-Wall", "-Wextra", "-Wgnu", "-Wpedantic"]
    flags += ["-Werror", "-Wno-language-extension-token"]  # the token is __forceinline, which is meant
    folders = ["-isystem", sysconfig.get_path("include"), f"-I{ROOT / 'include'}", f"-I{ROOT / 'python' / 'engine'}"]
    checks(CLANG, *flags, *folders, path)


def compiles_the_library(compiler, tmp_path):
    source = tmp_path / "library.cpp"
    source.write_text(including(HEADERS))
    checks(compiler, "-fsyntax-only", "-std=c++20", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'include'}", source)


@pytest.mark.skipif(MINGW is None, reason="no compiler for Windows here (Debian: g++-mingw-w64-x86-64-posix)")
def test_the_library_compiles_for_windows(tmp_path):
    compiles_the_library(MINGW, tmp_path)


@pytest.mark.skipif(OLDEST is None, reason="no clang 16 here (Debian 12: clang-16)")
def test_the_library_compiles_with_the_oldest_clang(tmp_path):
    compiles_the_library(OLDEST, tmp_path)


ALLOCATED = """\
#include <agen/agen.hpp>
#include <agen/recycling_allocator.hpp>
#include <memory>
template <class T>
struct sharing {
  using value_type = T;
  std::shared_ptr<int> state = std::make_shared<int>();
  sharing() = default;
  template <class U>
  sharing(sharing<U> const& other) : state(other.state) {}
  T* allocate(std::size_t n) { return std::allocator<T>().allocate(n); }
  void deallocate(T* p, std::size_t n) { std::allocator<T>().deallocate(p, n); }
};
template <class T>
struct stateless {
  using value_type = T;
  stateless() = default;
  template <class U>
  stateless(stateless<U> const&) {}
  T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T))); }
  void deallocate(T* p, std::size_t) { ::operator delete(p); }
  friend bool operator==(stateless, stateless) { return true; }
};
template <class Allocator>
auto f(std::allocator_arg_t, Allocator, int n) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) co_yield i;
}
auto g(int n, agen::destroyed_on_close) -> agen::async_generator<int> {
  for (int i = 0; i < n; ++i) co_yield i;
}
struct object {
  auto f(std::allocator_arg_t, sharing<char>) const -> agen::async_generator<int> { co_yield 1; }
};
int main() {
  auto const one = f(std::allocator_arg, sharing<char>(), 1);
  auto const two = f(std::allocator_arg, stateless<char>(), 1);
  auto const three = f(std::allocator_arg, agen::recycling_allocator<>(), 1);
  auto const four = object().f(std::allocator_arg, {});
  auto const five = g(1, {});
}
"""


@pytest.mark.skipif(GXX is None, reason="no g++ here")
@pytest.mark.parametrize("sanitizers", ["", "address,undefined", "thread"])
@pytest.mark.parametrize("level", ["-O0", "-O1", "-Og", "-Os", "-O2", "-O3"])
def test_memory_of_an_allocator_is_given_back_without_a_warning(level, sanitizers, tmp_path):
    """g++ inlines one of operator new and delete at some levels, and takes the two for no pair."""
    (tmp_path / "allocated.cpp").write_text(ALLOCATED)
    flags = [level, "-std=c++20", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'include'}"]
    flags += [f"-fsanitize={sanitizers}"] if sanitizers else []
    checks(GXX, *flags, "-c", tmp_path / "allocated.cpp", "-o", tmp_path / "allocated.o")


@pytest.mark.skipif(GXX is None, reason="no g++ here")
@pytest.mark.parametrize("level", ["-O1", "-Os"])
def test_the_bridge_compiles_at_levels_that_inline_less(level, tmp_path):
    """g++ refuses to take the address of what is always inlined where it does not see through the pointer."""
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        pytest.skip("no C headers of Python here (Debian: python3-dev)")
    folders = ["-isystem", sysconfig.get_path("include"), f"-I{ROOT / 'include'}"]
    flags = [level, "-std=c++20", "-Wall", "-Wextra", "-Werror", *folders]
    checks(GXX, *flags, "-c", ROOT / "tests" / "bridge" / "streams" / "exported.cpp", "-o", tmp_path / "exported.o")
