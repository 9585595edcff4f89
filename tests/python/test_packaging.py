"""What a user installs: the sdist and the wheel, built from this tree and put into empty environments.

Slow, since it compiles; `tools/test` runs it on one interpreter. How the package behaves is for the other files.
"""

import email
import importlib.machinery
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python" / "async_generator"

pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").exists() or importlib.util.find_spec("scikit_build_core") is None,
    reason="needs the source tree, and scikit-build-core in this environment",
)

# Iterates, delegates, returns and closes, without an event loop; prints what it got.
USE = """
import async_generator as ag, importlib.metadata as metadata, sys
assert not any(name.endswith("site-packages") and "/empty/" not in name for name in sys.path), sys.path

@ag.async_generator
async def inner():
    await ag.yield_(1)
    return "two"

@ag.async_generator
async def outer():
    await ag.yield_(await ag.yield_from_(inner()))

async def main():
    async with ag.aclosing(outer()) as generator:
        return [x async for x in generator]

try:
    main().send(None)
except StopIteration as stop:
    print(metadata.version("async_generator"), ag.__version__, stop.value)
"""


def run(*command, cwd=None, env=None):
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build(hook, source, out, **env):
    """Runs a hook of the build backend, as pip does, and returns the file that it made."""
    return build_and_say(hook, source, out, **env)[0]


def build_and_say(hook, source, out, **env):
    """The same, and what it says."""
    code = f"import sys, scikit_build_core.build as backend; print('made:', backend.{hook}(sys.argv[1]))"
    said = run(sys.executable, "-c", code, out, cwd=source, env={**os.environ, **env})
    return out / re.search("^made: (.*)$", said, re.M)[1], said


def pip(*arguments, env=None):
    """Runs a pip that can install into another environment."""
    if importlib.util.find_spec("pip") is not None:
        return run(sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, env=env)
    found = shutil.which("pip3") or shutil.which("pip")
    assert found, "no pip on PATH and none in this environment"
    return run(found, "--disable-pip-version-check", *arguments, env=env)


def version():
    """The one in the source: that of the headers."""
    text = (ROOT / "include" / "agen" / "version.hpp").read_text()
    return ".".join(re.findall(r"^#define AGEN_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)$", text, re.M))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of what .gitignore does not name: what a clean checkout has, without what was built here. Git is not needed."""
    lines = (ROOT / ".gitignore").read_text().split()
    assert not any(set(line.rstrip("/")) & set("/!#[") for line in lines), "only names and * are understood here"
    names = [".git", *(line.rstrip("/") for line in lines)]
    return shutil.copytree(ROOT, tmp_path_factory.mktemp("checkout") / "tree", ignore=shutil.ignore_patterns(*names))


@pytest.fixture(scope="module")
def sdist(checkout, tmp_path_factory):
    return build("build_sdist", checkout, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """The wheel made from the sdist and nothing else."""
    source = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(source, **({"filter": "data"} if sys.version_info >= (3, 12) else {}))
    return build("build_wheel", next(source.iterdir()), tmp_path_factory.mktemp("wheel"))


def modules():
    """The package's own files, and the one that the build makes."""
    files = (path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".pyi", ".typed"})
    return {path.relative_to(PACKAGE.parent).as_posix() for path in files} | {"async_generator/_version.py"}


@pytest.fixture
def empty(tmp_path):
    """The Python of a new environment with nothing in it."""
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "empty")
    return tmp_path / "empty" / ("Scripts" if os.name == "nt" else "bin") / "python"


def without_a_compiler(python):
    """Runs USE where PATH leads to this environment only, so that nothing could be compiled even if it were tried."""
    return run(python, "-I", "-W", "error", "-c", USE, cwd=python.parent, env={"PATH": str(python.parent)})


def test_the_sdist_holds_what_a_build_needs_and_no_product_of_one(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert sdist.name == f"async_generator-{version()}.tar.gz"
    needed = {"pyproject.toml", "README.md", "LICENSE.MIT", "LICENSE.APACHE2", "python/CMakeLists.txt", "PKG-INFO"}
    # And what a distribution builds the C++ library and runs the tests of both with.
    needed |= {"CMakeLists.txt", "cmake/agen.pc.in", "tests/python/pytest.ini", "docs/api.md", "SECURITY.md"}
    for folder in ("python", "include", "tests/python", "tests/cpp", "tests/conformance", "tests/bridge", "examples"):
        files = (
            path
            for path in (ROOT / folder).rglob("*")
            if path.suffix in {".py", ".pyi", ".typed", ".cpp", ".hpp", ".h"}
        )
        needed |= {path.relative_to(ROOT).as_posix() for path in files}
    assert needed <= names, needed - names
    assert not [name for name in names if name.endswith((".so", ".pyd", ".o", ".pyc"))]
    assert not [name for name in names if name.startswith((".", "build/", "tools/", "bench/"))]


def test_the_wheel_holds_the_package_its_types_headers_and_licenses_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    wanted = modules() | {f"async_generator/{module}{suffix}" for module in ("_engine", "_stream_abi")}
    include = ROOT / "include"
    wanted |= {f"async_generator/include/{path.relative_to(include).as_posix()}" for path in include.rglob("*.h*")}
    wanted |= {f"async_generator/cmake/{name}" for name in ("agen-config.cmake", "agen-config-version.cmake")}
    wanted.add("async_generator/pkgconfig/agen.pc")
    information = f"async_generator-{version()}.dist-info/"
    assert {name for name in names if not name.startswith(information)} == wanted
    licenses = {f"{information}licenses/{name}" for name in ("LICENSE", "LICENSE.MIT", "LICENSE.APACHE2")}
    assert licenses <= names


def test_the_metadata_satisfies_what_asks_for_the_predecessor(wheel):
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    assert metadata["Name"] in ("async_generator", "async-generator")
    assert metadata["Version"] == version() == "2.0.0"
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["License-Expression"] == "MIT OR Apache-2.0"
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert required == []
    assert {"test", "typing", "docs"} <= set(metadata.get_all("Provides-Extra"))


@pytest.fixture(scope="module")
def long_description(sdist):
    with tarfile.open(sdist) as archive:
        text = archive.extractfile(f"async_generator-{version()}/PKG-INFO").read().decode()
    message = email.message_from_string(text)
    assert message["Description-Content-Type"] == "text/markdown"
    return message.get_payload()


def test_no_link_of_the_long_description_is_relative(long_description):
    """PyPI shows it where the files of the repository are not."""
    links = re.findall(r"(?:\]\(|src=\"|srcset=\")([^)\"]*)", long_description)
    assert [link for link in links if not link.startswith("https://")] == []
    assert "whose name this is" in long_description  # the text of a link stays


def test_links_lead_below_the_address_that_is_set(load):
    module = load(ROOT / "python" / "metadata" / "long_description.py")
    text = "[a](docs/a.md#b), [b](https://x.org), [c](#c), ![d](d.png)"
    absolute = "[a](https://y.org/v2/docs/a.md#b), [b](https://x.org), [c](#c), ![d](d.png)"
    assert module.with_absolute_links(text, "https://y.org/v2/") == absolute
    assert module.with_absolute_links(text, "") == "a, [b](https://x.org), [c](#c), ![d](d.png)"
    picture = '<picture>\n<source srcset="a.svg">\n<img src="https://x.org/b.svg">\n</picture>\n\ntext'
    assert module.with_absolute_links(picture, "") == "text"
    assert 'srcset="https://y.org/a.svg"' in module.with_absolute_links(picture, "https://y.org")


@pytest.fixture
def load():
    def load(path):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def test_the_package_builds_under_a_name_of_its_own(checkout, tmp_path, empty):
    """Until PyPI's `async_generator` is this one, a distribution has another name: one line of pyproject.toml."""
    tree = shutil.copytree(checkout, tmp_path / "tree")
    settings = tree / "pyproject.toml"
    text, changed = re.subn(r'^name = "async_generator"$', 'name = "agen"', settings.read_text(), flags=re.M)
    assert changed == 1
    settings.write_text(text)
    wheel = build("build_wheel", tree, tmp_path)
    assert wheel.name.startswith(f"agen-{version()}-")
    pip("--python", empty, "install", "--quiet", "--no-index", wheel)
    use = USE.replace('metadata.version("async_generator")', 'metadata.version("agen")')
    done = run(empty, "-I", "-W", "error", "-c", use, cwd=tmp_path)
    assert done == f"{version()} {version()} [1, 'two']\n"


def test_the_wheel_is_the_same_bit_for_bit_from_another_folder(checkout, wheel, tmp_path):
    tree = shutil.copytree(checkout, tmp_path / "elsewhere")
    made = build("build_wheel", tree, tmp_path)
    with zipfile.ZipFile(made) as here, zipfile.ZipFile(wheel) as there:
        assert here.namelist() == there.namelist()
        assert [name for name in here.namelist() if here.read(name) != there.read(name)] == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have one C++ runtime, which is loaded")
def test_the_engine_needs_no_cxx_runtime(wheel, tmp_path):
    readelf = shutil.which("readelf")
    if readelf is None:
        pytest.skip("not installed: readelf (Debian: binutils)")
    with zipfile.ZipFile(wheel) as archive:
        engine = archive.extract(
            next(name for name in archive.namelist() if "/_engine." in name and name.endswith(".so")), tmp_path
        )
    needed = re.findall(r"\(NEEDED\).*\[(.*?)\]", run(readelf, "-d", engine))
    assert needed and not [name for name in needed if name.startswith(("libstdc++", "libgcc_s"))], needed
    exported = [line.split()[-1] for line in run("nm", "-D", "--defined-only", engine).splitlines()]
    assert exported == ["PyInit__engine"]


def test_the_wheel_works_in_an_empty_environment_without_a_compiler(wheel, empty):
    pip("--python", empty, "install", "--quiet", "--no-index", wheel)
    assert without_a_compiler(empty) == f"{version()} {version()} [1, 'two']\n"
    assert pip("--python", empty, "check").strip() == "No broken requirements found."


def test_pip_installs_from_a_clean_checkout(checkout, empty):
    # With build isolation: pip fetches the build backend, so this needs an index within reach.
    pip("--python", empty, "install", "--quiet", checkout)
    assert without_a_compiler(empty) == f"{version()} {version()} [1, 'two']\n"
    assert not list(checkout.glob("**/*.so")), "the build wrote into the source tree"


def test_the_sdists_tests_pass_with_what_cibuildwheel_installs(sdist, wheel, empty, tmp_path):
    """The same command as on every platform of a release, where nothing but the sdist is there."""
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, **({"filter": "data"} if sys.version_info >= (3, 12) else {}))
    source = tmp_path / f"async_generator-{version()}"
    settings = (source / "pyproject.toml").read_text()
    needed = json.loads(re.search(r"^test-requires = (.*)$", settings, re.M)[1])
    command = re.search(r'^test-command = "python (.*)"$', settings, re.M)[1].split()
    pip("--python", empty, "install", "--quiet", wheel, *needed)
    shutil.copytree(source / "tests", tmp_path / "alone" / "tests")
    assert " passed" in run(empty, *command, cwd=tmp_path / "alone")


def test_uninstalling_leaves_nothing_behind(wheel, empty):
    pip("--python", empty, "install", "--quiet", "--no-index", wheel)
    run(empty, "-c", "import async_generator")
    pip("--python", empty, "uninstall", "--quiet", "--yes", "async_generator")
    site = next((empty.parent.parent).glob("lib*/python3*/site-packages"))
    assert [path.name for path in site.iterdir() if "async" in path.name] == []


# Projects of others ------------------------------------------------------------------------------------------------------

# What their pyproject.toml would have pip fetch; this package is the wheel that was just built.
BUILDERS = ["scikit-build-core>=0.11", "nanobind>=2.0", "meson-python", "pkgconf", "ninja"]

USE_ENGINE = """
import asyncio, engine
from async_generator import aclosing

async def main():
    assert [number async for number in engine.countdown(3)] == [3, 2, 1]
    async with aclosing(engine.readings(3.0)) as values:
        assert await anext(values) == 6.0

asyncio.run(main())
print("liftoff")
"""

MESON = {
    "pyproject.toml": """
[build-system]
requires = ["meson-python", "pkgconf", "async_generator>=2.0"]
build-backend = "mesonpy"
[project]
name = "counting"
version = "1.0"
dependencies = ["async_generator>=2.0"]
""",
    "meson.build": """
project('counting', 'cpp', version: '1.0', default_options: ['cpp_std=c++20'])
python = import('python').find_installation(pure: false)
python.extension_module('counting', 'counting.cpp', dependencies: dependency('agen', version: '>=2.0'), install: true)
""",
    "counting.cpp": """
#include <agen/python.hpp>
auto count(long n) -> agen::async_generator<long> {
  for (long i = 0; i < n; ++i) co_yield i;
}
PyMethodDef functions[] = {
    {"count", [](PyObject*, PyObject* n) { return agen::python::to_python(count(PyLong_AsLong(n))); }, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};
PyModuleDef definition = {PyModuleDef_HEAD_INIT, "counting", nullptr, 0, functions, nullptr, nullptr, nullptr, nullptr};
PyMODINIT_FUNC PyInit_counting() { return PyModuleDef_Init(&definition); }
""",
}

USE_MESON = """
import asyncio, counting

async def main():
    print([number async for number in counting.count(3)])

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def builder(wheel, tmp_path_factory):
    """The Python of an environment with this package and what outside projects are built with."""
    folder = tmp_path_factory.mktemp("builder")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip("--python", python, "install", "--quiet", wheel, *BUILDERS)
    return python


def installed(project, builder, wheel, empty, out):
    """Builds the wheel of an outside project and installs it, with this package and nothing else."""
    # As pip does it, but for the fetching: with the builders' commands before all others. PKG_CONFIG is for Meson.
    env = {**os.environ, "PATH": f"{builder.parent}{os.pathsep}{os.environ['PATH']}", "PKG_CONFIG": "pkgconf-pypi"}
    pip("--python", builder, "wheel", "--quiet", "--no-build-isolation", "--no-deps", "-w", out, project, env=env)
    pip("--python", empty, "install", "--quiet", "--no-index", wheel, *out.glob("*.whl"))
    return empty


def test_the_tutorials_project_becomes_a_wheel_under_scikit_build_core(builder, wheel, empty, tmp_path):
    shutil.copytree(ROOT / "examples" / "bridge" / "engine", tmp_path / "engine")
    python = installed(tmp_path / "engine", builder, wheel, empty, tmp_path / "out")
    assert run(python, "-I", "-W", "error", "-c", USE_ENGINE, cwd=tmp_path) == "liftoff\n"


def test_the_template_project_passes_its_own_tests(builder, wheel, empty, tmp_path):
    project = tmp_path / "template"
    shutil.copytree(ROOT / "examples" / "bridge" / "template", project)
    python = installed(project, builder, wheel, empty, tmp_path / "out")
    pip("--python", empty, "install", "--quiet", "pytest")
    assert "3 passed" in run(python, "-I", "-W", "error", "-m", "pytest", "-q", cwd=project)
    where = run(python, "-I", "-c", "import my_engine; print(my_engine.__path__[0])").strip()
    assert "def readings(ahead: int = 64) -> AsyncGenerator[float" in Path(where, "_engine.pyi").read_text()


def test_meson_finds_the_headers_as_a_dependency(builder, wheel, empty, tmp_path):
    (tmp_path / "counting").mkdir()
    for name, text in MESON.items():
        (tmp_path / "counting" / name).write_text(text)
    python = installed(tmp_path / "counting", builder, wheel, empty, tmp_path / "out")
    assert run(python, "-I", "-W", "error", "-c", USE_MESON, cwd=tmp_path) == "[0, 1, 2]\n"


# Without the engine ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"ASYNC_GENERATOR_ENGINE": "plain"}, "ASYNC_GENERATOR_ENGINE=plain asks for it"),
        ({"CXX": "/bin/false"}, "the engine could not be built (see above)"),
    ],
    ids=["asked for", "no compiler works"],
)
def test_the_sdist_builds_without_the_engine(sdist, tmp_path, empty, env, says):
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, **({"filter": "data"} if sys.version_info >= (3, 12) else {}))
    made, said = build_and_say("build_wheel", next(tmp_path.glob("async_generator-*/")), tmp_path, **env)
    assert made.name == f"async_generator-{version()}-py3-none-any.whl"
    assert says in said and "this is the package in plain Python" in said
    with zipfile.ZipFile(made) as archive:
        names = {name for name in archive.namelist() if "dist-info" not in name and "/include/" not in name}
    built = {"async_generator/cmake/agen-config.cmake", "async_generator/pkgconfig/agen.pc.in"}
    assert names == modules() | built
    pip("--python", empty, "install", "--no-index", "--no-deps", made)
    assert without_a_compiler(empty) == f"{version()} {version()} [1, 'two']\n"
    told = run(empty, "-I", "-m", "async_generator", "--json")
    assert "in plain Python: this installation was built without the engine" in told
