"""A PostgreSQL server for a while: on a socket in a temporary folder, without a network, gone afterwards."""

import contextlib
import glob
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path


def programs():
    """The folder of the newest server on this machine, or None. Debian does not put it on the PATH."""
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    folders = glob.glob("/usr/lib/postgresql/*/bin")
    return Path(max(folders, key=lambda folder: int(folder.split("/")[-2]))) if folders else None


@contextlib.contextmanager
def server():
    """Gives the settings to connect with, as libpq, psycopg and asyncpg understand them. Root starts it as `nobody`, because
    the server refuses root."""
    account = {"user": "nobody", "extra_groups": []} if os.getuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="pg") as folder:  # short: a socket's path has at most about 100 characters
        if account:
            shutil.chown(folder, "nobody")
        data = Path(folder, "data")
        command = [programs() / "initdb", "-D", data, "-U", "tests", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, **account)
        command = [programs() / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-F"]
        with open(Path(folder, "log"), "w") as log, subprocess.Popen(command, cwd=folder, stderr=log, **account) as run:
            try:
                wait_until_ready(run, data / "postmaster.pid", Path(log.name))
                yield {"host": folder, "user": "tests", "dbname": "postgres"}
            finally:
                run.send_signal(signal.SIGINT)  # SIGTERM would wait for its clients


def wait_until_ready(run, state, log):
    """The server writes what it does to the last line of a file."""
    while not (state.exists() and state.read_text().split()[-1:] == ["ready"]):
        if run.poll() is not None:
            raise RuntimeError(f"the server ended:\n{log.read_text()}")
        time.sleep(0.02)


def text(settings):
    return " ".join(f"{name}={value}" for name, value in settings.items())
