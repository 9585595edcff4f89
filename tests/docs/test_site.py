"""Builds the site and looks at what came out: links that lead somewhere, nothing that a reader's browser has to fetch."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from pages import DOCS, ROOT


class Page(HTMLParser):
    """What a page links to, what it loads, and the places in it that can be linked to."""

    def __init__(self, file):
        super().__init__()
        self.file, self.links, self.loads, self.places, self.title = file, [], [], set(), False
        self.pictures, self.drawings = [], []  # what each says in words; those of a drawing are in its title
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        has = dict(attributes)
        self.places |= {has[key] for key in ("id", "name") if has.get(key)}
        if tag == "a" and has.get("href"):
            self.links.append(has["href"])
        if tag == "img":
            self.pictures.append(has.get("alt") or "")
        if tag == "svg" and has.get("role") == "img":
            self.drawings.append(has.get("aria-labelledby"))
        if tag in ("img", "script", "iframe", "source") and has.get("src"):
            self.loads.append(has["src"])
        if tag == "link" and has.get("href") and has.get("rel") in ("stylesheet", "preload", "icon", "preconnect"):
            self.loads.append(has["href"])


@pytest.fixture(scope="module")
def site(site_folder):
    """Every page of the site by its file."""
    return {file: Page(file) for file in sorted(site_folder.rglob("*.html")) if "_static" not in file.parts}


def test_every_page_is_on_the_site(site, site_folder):
    names = {str(file.relative_to(site_folder).with_suffix("")) for file in site}
    missing = {str(page.relative_to(DOCS).with_suffix("")) for page in DOCS.rglob("*.md")} - names
    assert not missing
    assert {"reference/python", "reference/cpp/index", "reference/cpp/async_generator", "changelog"} <= names


def test_links_inside_lead_somewhere(site):
    assert sum(len(page.links) for page in site.values()) > 500
    wrong = []
    for page in site.values():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.file.parent / unquote(parts.path)).resolve() if parts.path else page.file
            if not target.exists():
                wrong.append(f"{page.file.name}: {link}")
            elif parts.fragment and target in site and unquote(parts.fragment) not in site[target].places:
                wrong.append(f"{page.file.name}: {link}: no such place")
    assert not wrong, "\n".join(wrong)


def test_links_outside_are_whole(site):
    for page in site.values():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                assert parts.scheme == "https", f"{page.file.name}: {link}"
                assert re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}", parts.netloc), f"{page.file.name}: {link}"
                assert not re.search(r"[\s<>`)]", link), f"{page.file.name}: {link}"


def test_a_page_loads_nothing_from_elsewhere(site):
    for page in site.values():
        assert page.loads
        for loaded in page.loads:
            parts = urlsplit(loaded)
            assert not parts.netloc and (not parts.scheme or parts.scheme == "data"), f"{page.file.name}: {loaded}"
            if not parts.scheme:
                assert (page.file.parent / unquote(parts.path)).exists(), f"{page.file.name}: {loaded}"
    for sheet in next(iter(site)).parent.rglob("*.css"):
        assert not re.search(r"@import|url\(['\"]?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_every_picture_says_in_words_what_it_shows(site, site_folder):
    assert sum(len(page.pictures) for page in site.values()) > 5
    for page in site.values():
        assert all(len(said) > 20 for said in page.pictures), page.file
        assert page.drawings.count(None) == 0 and set(page.drawings) <= page.places, page.file
    assert len(site[site_folder / "index.html"].drawings) == 4


def test_the_list_of_problems_names_every_how_to():
    listed = set(re.findall(r"\]\(([\w-]+\.md)", (DOCS / "howto" / "index.md").read_text(encoding="utf-8")))
    assert listed == {page.name for page in (DOCS / "howto").glob("*.md")} - {"index.md"}


def test_every_public_name_is_in_the_references(site):
    import async_generator

    places = set().union(*(page.places for page in site.values()))
    assert {f"async_generator.{name}" for name in async_generator.__all__} <= places
    headers = {file.stem for file in (ROOT / "include" / "agen").glob("*.hpp")}
    assert "async_generator" in headers
    assert headers <= {file.stem for file in site if file.match("reference/cpp/*.html")}


def test_every_scenario_of_the_conformance_table_is_on_the_site(site):
    scenarios = {
        name
        for file in (ROOT / "tests" / "conformance" / "scenarios").glob("*.scn")
        for name in re.findall(r"^=== .* (\S+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert len(scenarios) > 200
    places = [page.places for file, page in site.items() if file.parent.name == "conformance"]
    assert {name for name in scenarios if sum(name in found for found in places) != 1} == set()


def test_members_in_the_cpp_reference_can_be_linked_to(site):
    page = next(page for file, page in site.items() if file.match("reference/cpp/async_generator.html"))
    for name in ("anext", "asend", "athrow", "aclose", "returned"):
        assert [
            place
            for place in page.places
            if place.startswith("_CPPv4") and f"15async_generator{len(name)}{name}" in place
        ]
