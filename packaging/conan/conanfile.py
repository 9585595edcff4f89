"""The Conan 2 recipe: `conan create packaging/conan`. The library is headers, so every configuration shares one package."""

import os
import re
from pathlib import Path

from conan import ConanFile
from conan.tools.build import check_min_cppstd
from conan.tools.cmake import CMake, CMakeToolchain
from conan.tools.files import copy

PARTS = ("MAJOR", "MINOR", "PATCH")


class Agen(ConanFile):
    name = "agen"
    description = "Async generators, complete, for C++ and Python"
    license = "MIT OR Apache-2.0"
    topics = ("coroutines", "async", "generator", "header-only")
    package_type = "header-library"
    settings = "os", "compiler", "build_type", "arch"
    no_copy_source = True

    def set_version(self):
        header = Path(self.recipe_folder, "..", "..", "include", "agen", "version.hpp").read_text()
        found = (re.search(rf"AGEN_VERSION_{part} (\d+)", header) for part in PARTS)
        self.version = ".".join(one[1] for one in found)

    def export_sources(self):
        root = os.path.join(self.recipe_folder, "..", "..")
        for pattern in ("CMakeLists.txt", "cmake/*", "include/*", "LICENSE*"):
            copy(self, pattern, root, self.export_sources_folder)

    def validate(self):
        check_min_cppstd(self, 20)

    def generate(self):
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["AGEN_BUILD_TESTS"] = False
        toolchain.generate()

    def build(self):
        CMake(self).configure()

    def package(self):
        CMake(self).install()

    def package_id(self):
        self.info.clear()

    def package_info(self):
        self.cpp_info.bindirs = []
        self.cpp_info.libdirs = []
        self.cpp_info.set_property("cmake_file_name", "agen")
        self.cpp_info.set_property("cmake_target_name", "agen::agen")
        self.cpp_info.set_property("pkg_config_name", "agen")
