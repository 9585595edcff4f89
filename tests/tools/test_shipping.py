"""What the C++ library ships as: one header, an installation, a Conan package, a vcpkg port."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPILER = shutil.which(os.environ.get("CXX", "g++"))
LICENSES = {"LICENSE", "LICENSE.MIT", "LICENSE.APACHE2"}

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler here (Debian: g++)")
needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="no CMake here (Debian: cmake)")


def run(*command, **options):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_compiler
def test_the_single_header_is_the_whole_library(tmp_path):
    header = tmp_path / "single" / "agen.hpp"
    header.parent.mkdir()
    run(sys.executable, ROOT / "tools" / "single-header", header, "channel.hpp", "fairness.hpp")
    text = header.read_text()
    assert '#include "' not in text
    guards = re.findall(r"^#ifndef (AGEN_\w+_HPP)$", text, re.MULTILINE)
    assert len(guards) == len(set(guards)) > 30
    example = (ROOT / "examples" / "cpp" / "early_exit.cpp").read_text()
    assert "#include <agen/agen.hpp>" in example
    program = tmp_path / "program.cpp"
    program.write_text(example.replace("<agen/agen.hpp>", '"single/agen.hpp"'))
    run(COMPILER, "-std=c++20", program, "-o", tmp_path / "program", "-pthread")
    assert run(tmp_path / "program") == (ROOT / "examples" / "cpp" / "early_exit.out").read_text()


def installed(folder, *options):
    run(
        "cmake",
        "-S",
        ROOT,
        "-B",
        folder / "build",
        "-DAGEN_BUILD_TESTS=OFF",
        f"-DCMAKE_CXX_COMPILER={COMPILER}",
        *options,
    )
    run("cmake", "--install", folder / "build")


@needs_compiler
@needs_cmake
def test_an_installation_has_the_licence_and_no_architecture(tmp_path):
    installed(tmp_path, f"-DCMAKE_INSTALL_PREFIX={tmp_path / 'prefix'}")
    prefix = tmp_path / "prefix"
    assert {one.name for one in prefix.iterdir()} == {"include", "share"}
    assert {one.name for one in (prefix / "share/licenses/agen").iterdir()} == LICENSES
    assert (prefix / "share/cmake/agen/agen-config.cmake").exists()


@needs_compiler
@needs_cmake
@pytest.mark.skipif(shutil.which("pkg-config") is None, reason="no pkg-config here (Debian: pkg-config)")
@pytest.mark.parametrize("data", ["share", "absolute"])
def test_pkg_config_is_right_with_absolute_directories(tmp_path, data):
    include = tmp_path / "elsewhere" / "headers"
    share = tmp_path / "data" if data == "absolute" else Path("share")
    options = [f"-DCMAKE_INSTALL_INCLUDEDIR={include}", f"-DCMAKE_INSTALL_DATADIR={share}"]
    installed(tmp_path, f"-DCMAKE_INSTALL_PREFIX={tmp_path / 'prefix'}", *options)
    path = tmp_path / "prefix" / share / "pkgconfig"  # an absolute `share` takes the place of what is before it
    flags = run("pkg-config", "--cflags", "agen", env={**os.environ, "PKG_CONFIG_PATH": str(path)}).split()
    assert flags == [f"-I{include}"]
    assert (include / "agen" / "agen.hpp").exists()


@needs_compiler
@needs_cmake
@pytest.mark.skipif(shutil.which("conan") is None, reason="no Conan here (pip install conan); not installed")
def test_conan_creates_the_package_without_a_network(tmp_path):
    env = {**os.environ, "CONAN_HOME": str(tmp_path / "home")}
    run("conan", "profile", "detect", env=env)
    settings = ["-s", "compiler.cppstd=20"]
    shutil.copytree(
        ROOT / "packaging" / "conan", tmp_path / "packaging" / "conan"
    )  # the test's build stays out of here
    for name in ("CMakeLists.txt", *LICENSES):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("cmake", "include"):
        shutil.copytree(ROOT / name, tmp_path / name)
    run("conan", "create", tmp_path / "packaging" / "conan", "--no-remote", *settings, env=env)
    assert "agen/" in run("conan", "list", "agen/*", env=env)


def version():
    header = (ROOT / "include/agen/version.hpp").read_text()
    return ".".join(re.search(rf"AGEN_VERSION_{part} (\d+)", header)[1] for part in ("MAJOR", "MINOR", "PATCH"))


def test_the_vcpkg_port_has_the_version_of_the_headers():
    port = json.loads((ROOT / "packaging/vcpkg/agen/vcpkg.json").read_text())
    assert port["version"] == version()


def test_the_debian_package_has_the_version_of_the_headers():
    first = (ROOT / "packaging/debian/changelog").read_text().splitlines()[0]
    assert re.match(r"agen \((.+)-\d+\) ", first)[1] == version()


RECIPE = ROOT / "packaging" / "conda" / "recipe.yaml"


def test_the_conda_recipe_has_the_version_and_the_oldest_python_of_the_project():
    text = RECIPE.read_text()
    assert re.search(r'^  version: "(.+)"$', text, re.M)[1] == version()
    oldest = re.search(r'requires-python = ">=(.*)"', (ROOT / "pyproject.toml").read_text())[1]
    assert f'- match(python, "<{oldest}")' in text
    files = {name for line in re.findall(r"license_file: \[(.*)\]", text) for name in line.split(", ")}
    assert files == LICENSES


@pytest.mark.parametrize("python", ["3.10", "3.13"])
def test_the_conda_recipe_renders_to_both_packages(python):
    rattler = pytest.importorskip("rattler_build", reason="not installed: py-rattler-build")
    variants = {"python": [python], "cxx_compiler": ["gxx"], "c_stdlib": ["sysroot"]}
    config = rattler.VariantConfig.from_yaml(json.dumps(variants))
    rendered = rattler.Stage0Recipe.from_file(str(RECIPE)).render(config)
    made = {(one.recipe.package.name, str(one.recipe.package.version)) for one in rendered}
    assert made == {("async_generator", version()), ("agen", version())}
