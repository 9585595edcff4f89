"""Puts @async_generator on every async generator function that is compiled outside the standard library; and isolated()
around every @asynccontextmanager of the package that REAL_CODE_ISOLATED names.

Python imports this module at start-up where its folder is on PYTHONPATH (tools/real-code puts it there). Whatever compiles
code, the import system or pytest, does it through `compile`; so sources, and sources that tests write, all come by here.
"""

import ast
import builtins
import functools
import os
import sysconfig

_compile = builtins.compile
_COUNT = os.environ.get("REAL_CODE_DECORATED")
_ISOLATED = os.environ.get("REAL_CODE_ISOLATED", "").replace(".", os.sep)


def _folders(*names):
    """Folders of the interpreter, as they are named and where they are."""
    paths = [sysconfig.get_path(name) for name in names]
    return tuple(real(path) + os.sep for path in paths for real in (os.path.abspath, os.path.realpath))


_OUTSIDE = _folders("purelib", "platlib")
_INSIDE = _folders("stdlib")


class _OwnYield(ast.NodeVisitor):
    """Whether a function yields itself, and not one that is nested in it."""

    found = False

    def visit_Yield(self, node):
        self.found = True

    def visit_FunctionDef(self, node):
        pass

    visit_AsyncFunctionDef = visit_Lambda = visit_ClassDef = visit_GeneratorExp = visit_FunctionDef


def isolating(make):
    """A function that makes an async context manager, which is then entered and left in a task of its own."""

    @functools.wraps(make)
    def isolated(*arguments, **options):
        from async_generator import isolated

        return isolated(make(*arguments, **options))

    return isolated


class _Decorate(ast.NodeTransformer):
    count = 0

    def __init__(self, isolate):
        self.isolate = isolate

    def call(self, node, text):
        """An expression at the place of a node."""
        made = ast.parse(text, mode="eval").body
        place = dict(
            lineno=node.lineno, col_offset=node.col_offset, end_lineno=node.lineno, end_col_offset=node.col_offset
        )
        for part in ast.walk(made):
            for name, value in place.items():
                if "lineno" in part._attributes:
                    setattr(part, name, value)
        return made

    def visit_AsyncFunctionDef(self, node):
        self.generic_visit(node)
        own = _OwnYield()
        for statement in node.body:
            own.visit(statement)
        if own.found:
            self.count += 1
            makes_manager = any(ast.unparse(one).endswith("asynccontextmanager") for one in node.decorator_list)
            node.decorator_list.append(self.call(node, '__import__("async_generator").async_generator'))
            if self.isolate and makes_manager:
                node.decorator_list.insert(0, self.call(node, '__import__("sitecustomize").isolating'))
        return node


def _concerned(filename):
    path = os.fsdecode(filename)  # to ask where it is would be a blocking call, which tests may forbid
    if f"{os.sep}async_generator{os.sep}" in path:
        return False
    return path.startswith(_OUTSIDE) or not path.startswith(_INSIDE)


def compile(source, filename, mode, flags=0, dont_inherit=False, optimize=-1, **rest):
    if mode == "exec" and not flags & ast.PyCF_ONLY_AST and _concerned(filename):
        if not isinstance(source, ast.AST):
            if (
                isinstance(source, str)
                and "async" not in source
                or isinstance(source, bytes)
                and b"async" not in source
            ):
                return _compile(source, filename, mode, flags, dont_inherit, optimize, **rest)
            source = _compile(source, filename, mode, flags | ast.PyCF_ONLY_AST, dont_inherit, optimize, **rest)
        decorate = _Decorate(bool(_ISOLATED) and f"{os.sep}{_ISOLATED}{os.sep}" in os.fsdecode(filename))
        source = decorate.visit(source)
        if decorate.count and _COUNT:
            with open(_COUNT, "ab") as count:
                count.write(b"." * decorate.count)
    return _compile(source, filename, mode, flags, dont_inherit, optimize, **rest)


builtins.compile = compile
