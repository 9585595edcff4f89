"""Takes packages and sources from any suite of the Debian archive that this machine uses, without touching the system."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def mirror() -> str | None:
    """The Debian archive that this machine uses."""
    for file in [*Path("/etc/apt/sources.list.d").glob("*"), Path("/etc/apt/sources.list")]:
        if file.is_file() and (
            found := re.search(r"^(?:URIs:|deb) .*?(https?://\S*/debian)/?\s", file.read_text(), re.M)
        ):
            return found[1]
    return None


class Suite:
    """A suite of the archive, with apt's lists of it in a folder of their own: the machine's may be of an older suite."""

    def __init__(self, name: str, folder: Path, archive: str, architecture: str = "") -> None:
        self.folder = folder
        for part in ("state/lists/partial", "cache/archives/partial", "parts"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "state/status").touch()
        lines = (f"{kind} [signed-by={KEYRING}] {archive} {name} main\n" for kind in ("deb", "deb-src"))
        (folder / "sources.list").write_text("".join(lines))
        (folder / "apt.conf").write_text(
            f'Dir::State "{folder}/state";\nDir::State::lists "{folder}/state/lists";\n'
            f'Dir::State::status "{folder}/state/status";\nDir::Cache "{folder}/cache";\n'
            f'Dir::Etc::sourcelist "{folder}/sources.list";\nDir::Etc::sourceparts "{folder}/parts";\n'
            'APT::Sandbox::User "root";\n' + (f'APT::Architecture "{architecture}";\n' if architecture else "")
        )
        self._apt("update")

    def source(self, package: str) -> Path | None:
        """The upstream archive of a source package."""
        self._apt("source", "--tar-only", "--download-only", package)
        found = [one for one in self.folder.glob(f"{package}_*.orig.tar.*") if one.suffix != ".asc"]
        return found[0] if found else None

    def depends(self, package: str) -> list[str]:
        """The packages that one depends on."""
        lines = self._apt("depends", package, program="apt-cache").splitlines()
        return [line.split()[-1] for line in lines if "Depends:" in line]

    def unpack(self, package: str, into: Path) -> bool:
        """Unpacks a binary package, without those that it depends on."""
        self._apt("download", package)
        found = list(self.folder.glob(f"{package}_*.deb"))
        command = ["dpkg-deb", "-x", *map(str, found[:1]), str(into)]
        return bool(found) and subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _apt(self, *command: str, program: str = "apt-get") -> str:
        environment = os.environ | {"APT_CONFIG": str(self.folder / "apt.conf")}
        done = subprocess.run(
            [program, "-qq", *command], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )
        return done.stdout


def suite(name: str, folder: Path, architecture: str = "") -> Suite | None:
    """A suite by its name, for this machine's architecture or another, or None where this machine uses no Debian archive."""
    archive = mirror()
    if archive is None or not shutil.which("apt-get") or not KEYRING.exists():
        return None
    return Suite(name, folder, archive, architecture)
