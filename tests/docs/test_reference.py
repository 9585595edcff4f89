"""Whether the C++ reference is whole: all that clang finds public in a header is on that header's page, and nothing else."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import types
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import nanobind
import pybind11
import pytest
from pages import ROOT

INCLUDE = ROOT / "include"
CLANG = next((name for name in ("clang++-19", "clang++") if shutil.which(name)), None)
FUNCTIONS = {"FunctionDecl", "CXXMethodDecl", "CXXConstructorDecl", "CXXDestructorDecl", "CXXConversionDecl"}
VALUES = {"VarDecl", "FieldDecl", "EnumConstantDecl", "ConceptDecl", "TypeAliasDecl"}
TEMPLATES = {"FunctionTemplateDecl", "VarTemplateDecl", "TypeAliasTemplateDecl"}
SCOPES = {"NamespaceDecl", "CXXRecordDecl", "ClassTemplateDecl", "EnumDecl"}


class Declarations:
    """What a header's page has to show, by header: `task`, `task::done`, an overload as often as it is declared. Left out are
    namespace detail, what is private, specializations, deduction guides, and what its comment marks as \\internal."""

    def __init__(self, syntax):
        self.of, self.file, self.promised = {}, "", []
        decoder, at = json.JSONDecoder(object_hook=self.located), 0
        while (at := syntax.find("{", at)) >= 0:
            tree, at = decoder.raw_decode(syntax, at)
            if tree.get("name") == "agen":
                self.walk(tree)
        for file, name in self.promised:  # declared and defined nowhere: users specialise it
            if not any(name in found for found in self.of.values()):
                self.of.setdefault(file, Counter())[name] = 1

    def located(self, node):
        """clang names the file of a place only where it is another than that of the place before."""
        if "offset" in node:
            self.file = node.setdefault("file", self.file)
        return node

    def walk(self, node, owner=""):
        public = node["kind"] != "CXXRecordDecl" or node["tagUsed"] == "struct"
        for one in node.get("inner", []):
            if one.get("kind") == "AccessSpecDecl":
                public = one["access"] == "public"
            elif one.get("kind") == "FriendDecl":
                # A friend with a body is a function of the class's interface: an operator.
                for function in one.get("inner", []):
                    if any(part.get("kind") == "CompoundStmt" for part in function.get("inner", [])):
                        self.add(function, owner)
            elif public:
                self.add(one, owner)

    def add(self, one, owner):
        kind, name = one.get("kind"), one.get("name", "")
        if one.get("isImplicit") or not name or name == "detail" or marked_internal(one):
            return
        if name.startswith("<deduction guide"):
            return
        if kind == "ClassTemplateDecl":
            one = next(part for part in one["inner"] if part.get("kind") == "CXXRecordDecl")
        if kind in SCOPES:
            inside = "" if kind == "NamespaceDecl" else f"{owner}{name}::"
            if kind in ("CXXRecordDecl", "ClassTemplateDecl") and "completeDefinition" not in one:
                self.promised.append((file_of(one), owner + name))
                return
            if inside:
                self.count(one, owner + name)
            self.walk(one, inside)
        elif kind == "UsingDecl" and owner:  # of a base; its constructors by the name that they get here
            self.count(one, owner + name.split("::")[-1])
        elif kind in FUNCTIONS | VALUES | TEMPLATES and not {"previousDecl", "parentDeclContextId"} & one.keys():
            self.count(one, owner + re.sub(r"(?<!operator)(?<!<)<.*", "", name))

    def count(self, one, name):
        self.of.setdefault(file_of(one), Counter())[name.replace(" ", "")] += 1


def file_of(node):
    return Path(node["loc"].get("expansionLoc", node["loc"])["file"]).resolve()


def marked_internal(node):
    """Whether the comment of a declaration, or of what a template declares, has the command `\\internal`."""
    parts = [part for part in node.get("inner", []) if "kind" in part]
    if any(part["kind"] == "VerbatimBlockComment" and part["name"] == "internal" for part in parts):
        return True
    below = {"FullComment", *(FUNCTIONS if node["kind"] in TEMPLATES else ())}
    return any(marked_internal(part) for part in parts if part["kind"] in below)


class Shown(HTMLParser):
    """What a page shows: the names of its C++ declarations, with those of the classes around them."""

    def __init__(self, file):
        super().__init__()
        self.found, self.owners, self.name, self.depth = Counter(), [], None, 0
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        if tag == "dl":
            self.owners.append("")
        elif tag == "span" and self.name is not None:
            self.depth += 1
        elif tag == "span" and "descname" in (dict(attributes).get("class") or "").split():
            self.name, self.depth = "", 1

    def handle_endtag(self, tag):
        if tag == "dl":
            self.owners.pop()
        elif tag == "span" and self.name is not None:
            self.depth -= 1
            if not self.depth:
                # Of a template, the parameters' names come first.
                self.owners[-1], self.name = self.name.replace(" ", ""), None
        elif tag == "dt" and self.owners[-1]:
            self.found["::".join(filter(None, self.owners))] += 1

    def handle_data(self, data):
        if self.name is not None:
            self.name += data


@pytest.fixture(scope="module")
def declarations(tmp_path_factory):
    """What clang finds in each header that a user may include, and in all others."""
    if CLANG is None:
        pytest.skip("no clang here (Debian: clang-19)")
    headers = [*sorted(INCLUDE.glob("agen/*.hpp")), *sorted(INCLUDE.glob("agen/python/*.hpp"))]
    headers.remove(INCLUDE / "agen" / "execution.hpp")  # needs a library of senders, which no system packages
    source = tmp_path_factory.mktemp("reference") / "all.cpp"
    source.write_text("".join(f'#include "{header}"\n' for header in headers))
    folders = [INCLUDE, sysconfig.get_path("include"), nanobind.include_dir(), pybind11.get_include()]
    command = [CLANG, "-std=c++20", "-fsyntax-only", *(f"-I{folder}" for folder in folders)]
    command += ["-Xclang", "-ast-dump=json", "-Xclang", "-ast-dump-filter=agen", source]
    done = subprocess.run(command, capture_output=True, text=True)
    if "'asio/version.hpp' file not found" in done.stderr:
        pytest.skip("no Asio here (Debian: libasio-dev)")
    assert done.returncode == 0, done.stderr
    of = Declarations(done.stdout).of
    public = {header: of.pop(header, Counter()) for header in headers}
    return public, sum(of.values(), Counter())


def page_of(site_folder, header):
    name = "-".join(header.relative_to(INCLUDE / "agen").with_suffix("").parts)
    return site_folder / "reference" / "cpp" / f"{name}.html"


def test_every_public_declaration_is_on_its_headers_page(site_folder, declarations):
    public, elsewhere = declarations
    assert sum(found.total() for found in public.values()) > 250
    wrong, absent = [], elsewhere
    for header, declared in public.items():
        page = page_of(site_folder, header)
        shown = Shown(page).found if page.exists() else Counter()
        wrong += [f"{header.name}: not on the page: {name}" for name in declared - shown]
        more, macros = shown - declared, {name for name in shown if name.isupper()}
        wrong += [f"{header.name}: not public: {name}" for name in more if name not in elsewhere and name not in macros]
        absent = absent - more
    wrong += [f"on no page: {name}" for name in absent]
    assert not wrong, "\n".join(wrong)


def test_every_public_macro_is_on_its_headers_page(site_folder, declarations):
    for header in declarations[0]:
        for name in re.findall(r"^/// .*\n#define (\w+)", header.read_text(), re.MULTILINE):
            assert name in Shown(page_of(site_folder, header)).found


def test_a_page_that_lacks_something_is_seen(site_folder, declarations, tmp_path):
    header = INCLUDE / "agen" / "task.hpp"
    page = page_of(site_folder, header).read_text(encoding="utf-8")
    (tmp_path / "task.html").write_text(page.replace(">done<", ">gone<"))
    assert declarations[0][header] - Shown(tmp_path / "task.html").found == Counter(["task::done"])


def test_without_doxygen_a_sentence_says_what_brings_it(tmp_path):
    command = [sys.executable, ROOT / "tools" / "docs-headers", tmp_path / "pages", tmp_path / "xml"]
    done = subprocess.run(command, env={**os.environ, "PATH": ""}, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.endswith("on Debian: apt-get install -y doxygen\n")


@pytest.mark.parametrize(
    ("comment", "says"),
    [
        ("\\param other  no such", "argument 'other'"),
        ("\\returned five", "unknown command"),
        ("a <chrono>", "<chrono>"),
    ],
)
def test_a_mistake_in_a_comment_fails_the_build(site_folder, tmp_path, monkeypatch, comment, says):
    tool = types.ModuleType("docs-headers")
    tool.__file__ = str(ROOT / "tools" / "docs-headers")
    exec(Path(tool.__file__).read_text(), vars(tool))
    monkeypatch.setenv("PATH", str(ROOT / ".venv" / "docs" / "bin"), prepend=os.pathsep)
    (tmp_path / "agen").mkdir()
    (tmp_path / "agen" / "wrong.hpp").write_text(f"namespace agen {{\n/// {comment}\nvoid f(int one);\n}}\n")
    tool.HEADERS = tmp_path / "agen"
    with pytest.raises(SystemExit, match=says):
        tool.doxygen(tmp_path / "xml")
