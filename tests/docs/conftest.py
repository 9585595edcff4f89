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
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(done.stdout.removeprefix("docs: ").strip()).parent
