"""Fresh minimal Debian systems in folders, with no more of this machine than how it reaches the network. Needs root."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from interpreters import ROOT

CACHE = ROOT / ".cache" / "bare"  # each release as debootstrap made it
# How this machine reaches the network, where that takes settings; of pip's files, those that say where packages are.
SETTINGS = re.compile(r"(https?|no)_proxy|PIP_(?!REQUIRE)\w+|(SSL|REQUESTS|CURL)_\w+", re.I)
FILES = ["/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf"]
# The archive may be a snapshot.
UPDATE = "apt-get -o Acquire::Check-Valid-Until=false update"


def lacking(archive: str | None) -> list[str]:
    """What is missing here for a system to be made."""
    lacks = [] if os.geteuid() == 0 else ["root"]
    lacks += [f"{tool} (Debian: {tool})" for tool in ("debootstrap",) if not shutil.which(tool)]
    return lacks + ([] if archive else ["a Debian archive in /etc/apt"])


def run(command: list[object], log: Path, limit: int = 3000) -> bool:
    with log.open("a") as output:
        print("$", *command, file=output, flush=True)
        try:
            words = [str(word) for word in command]
            return subprocess.run(words, stdout=output, stderr=output, check=False, timeout=limit).returncode == 0
        except subprocess.TimeoutExpired:
            print(f"stopped after {limit} s", file=output)
            return False


def system(release: str, archive: str, root: Path, log: Path) -> bool:
    """Makes a fresh minimal system in a folder; `release` may name an architecture, as in trixie:i386. False where that fails."""
    base = CACHE / f"{release.replace(':', '-')}.tar"  # tar takes what is before a colon for a host
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    if not base.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = base.with_suffix(".part")
        name, _, architecture = release.partition(":")
        options = ["--variant=minbase", *([f"--arch={architecture}"] if architecture else [])]
        if not run(["debootstrap", *options, name, root, archive], log):
            return False
        if not run(["tar", "-C", root, "-cf", unfinished, "."], log):
            return False
        unfinished.rename(base)
    elif not run(["tar", "-C", root, "-xpf", base], log):
        return False
    return True


def reach_the_network(root: Path) -> None:
    """Gives the system what this one reaches the network with."""
    for file in map(Path, FILES):
        if file.exists():
            (root / file.relative_to("/")).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, root / file.relative_to("/"))


def inside(root: Path, command: str, log: Path, user: str = "root") -> bool:
    """Runs a shell's line in the system, with nothing of this machine's environment but how it reaches the network."""
    kept = [f"{name}={value}" for name, value in os.environ.items() if SETTINGS.fullmatch(name)]
    home = "/root" if user == "root" else f"/home/{user}"
    kept += [f"HOME={home}", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
    line = ["env", "-i", *kept, "su", user, "-s", "/bin/sh", "-c", f"cd {home} && {command}"]
    mounted = f'mount -t proc proc "{root}/proc" && mount --rbind /dev "{root}/dev" && exec chroot "{root}" "$@"'
    return run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", mounted, "sh", *line], log)


def copy_checkout(into: Path) -> None:
    """What a clone has. A folder of the same name as one that is ignored is none of the sources'."""
    names = [".git", *(line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split())]
    shutil.copytree(ROOT, into, ignore=shutil.ignore_patterns(*names))
