"""What is written down in two places is the same in both."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def version():
    text = (ROOT / "include" / "agen" / "version.hpp").read_text()
    return ".".join(re.findall(r"^#define AGEN_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)$", text, re.MULTILINE))


def test_a_citation_names_this_version():
    assert f"\nversion: {version()}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_policy_supports_this_major_version():
    assert f"| {version().split('.')[0]}.x, the newest" in (ROOT / "SECURITY.md").read_text()


def test_each_classified_version_of_cpython_has_wheels():
    text = (ROOT / "pyproject.toml").read_text()
    classified = re.findall(r'Python :: 3\.(\d+)"', text)
    built = set(re.findall(r'"cp3(\d+)-\*"', text))
    assert len(classified) >= 6
    assert built == set(classified)
