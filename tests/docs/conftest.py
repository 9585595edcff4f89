"""The site, built once for all tests that look at it."""

import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT


@pytest.fixture(scope="session")
def site_folder():
    """The folder of the site as `make docs` builds it, which makes every warning of Sphinx an error."""
    done = subprocess.run([sys.executable, ROOT / "tools" / "docs"], capture_output=True, text=True)
    said = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("docs: making")]
    assert done.returncode == 0, "\n".join(said)  # pytest's summary shows the first line
    return Path(done.stdout.removeprefix("docs: ").strip()).parent
