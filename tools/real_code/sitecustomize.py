"""Puts @async_generator on every async generator function that is compiled outside the standard library.

Python imports this module at start-up where its folder is on PYTHONPATH (tools/real-code puts it there). Whatever compiles
code, the import system or pytest, does it through `compile`; so sources, and sources that tests write, all come by here.
"""

import ast
import builtins
import os
import sysconfig

_compile = builtins.compile
_COUNT = os.environ.get("REAL_CODE_DECORATED")
_OUTSIDE = tuple(os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("purelib", "platlib"))
_INSIDE = os.path.realpath(sysconfig.get_path("stdlib")) + os.sep


class _OwnYield(ast.NodeVisitor):
    """Whether a function yields itself, and not one that is nested in it."""

    found = False

    def visit_Yield(self, node):
        self.found = True

    def visit_FunctionDef(self, node):
        pass

    visit_AsyncFunctionDef = visit_Lambda = visit_ClassDef = visit_GeneratorExp = visit_FunctionDef


class _Decorate(ast.NodeTransformer):
    count = 0

    def visit_AsyncFunctionDef(self, node):
        self.generic_visit(node)
        own = _OwnYield()
        for statement in node.body:
            own.visit(statement)
        if own.found:
            self.count += 1
            place = dict(
                lineno=node.lineno, col_offset=node.col_offset, end_lineno=node.lineno, end_col_offset=node.col_offset
            )
            decorator = ast.parse('__import__("async_generator").async_generator', mode="eval").body
            for part in ast.walk(decorator):
                for name, value in place.items():
                    if "lineno" in part._attributes:
                        setattr(part, name, value)
            node.decorator_list.append(decorator)
        return node


def _concerned(filename):
    path = os.path.realpath(os.fsdecode(filename))
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
        decorate = _Decorate()
        source = decorate.visit(source)
        if decorate.count and _COUNT:
            with open(_COUNT, "ab") as count:
                count.write(b"." * decorate.count)
    return _compile(source, filename, mode, flags, dont_inherit, optimize, **rest)


builtins.compile = compile
