"""The bodies of a scenario, compiled for each Python implementation.

A scenario is written in the notation of PEP 828, which no interpreter before 3.16 compiles. Here lives its translation
into the syntaxes of the package, and for the oracle into native generators with each delegation written out.
"""

from __future__ import annotations

import ast
import functools

from yield_from_reference import HELPERS, BodyForm, Reference, copied

import async_generator as package

FORMS = ("native", "coroutine", "syntax", "calls")


class _ToCalls(ast.NodeTransformer):
    """`yield x` becomes `await yield_(x)`, `yield from d` becomes `await yield_from_(d)`."""

    def visit_Yield(self, node):
        self.generic_visit(node)
        return self.call("yield_", node, [] if node.value is None else [node.value])

    def visit_YieldFrom(self, node):
        self.generic_visit(node)
        return self.call("yield_from_", node, [node.value])

    @staticmethod
    def call(name, node, arguments):
        made = ast.Await(ast.Call(ast.Name(name, ast.Load()), arguments, []))
        return ast.copy_location(made, node)


def returns_value(body: ast.AsyncFunctionDef) -> bool:
    return any(isinstance(node, ast.Return) and node.value is not None for node in ast.walk(body))


def is_body(node: ast.AST) -> bool:
    """Whether a statement defines an async generator; other functions are helpers, and stay as they are."""
    return isinstance(node, ast.AsyncFunctionDef) and any(isinstance(part, (ast.Yield, ast.YieldFrom)) for part in ast.walk(node))


def expressible(source: str, form: str) -> str:
    """Why a scenario's root cannot be written in a form; empty where it can."""
    root = next(node for node in ast.parse(source).body if is_body(node) and node.name == "root")
    if form in ("syntax", "calls") and returns_value(root):
        return "native syntax has no return values before 3.16"
    return ""


@functools.lru_cache(maxsize=None)
def _compiled(source: str, form: str):
    """The code of all bodies of a scenario in one form."""
    module = ast.parse(source)
    statements = []
    for node in module.body:
        if not is_body(node):
            statements.append(node)
            continue
        kind = form
        if form in ("syntax", "calls") and returns_value(node):
            kind = "coroutine"  # what has a return value is delegated to in the syntax that has them
        boxed = form == "native" and returns_value(node)
        made = _translated(node, kind, boxed)
        finish = "_boxed" if boxed else "_decorated" if kind in ("coroutine", "syntax") else None
        made.decorator_list = [ast.Name(finish, ast.Load())] if finish else []
        statements.append(made)
    module.body = statements
    return compile(ast.fix_missing_locations(module), "<scenario>", "exec", dont_inherit=True)


def _translated(node, kind, boxed):
    node = _ToCalls().visit(copied(node))
    form = BodyForm(native_yield=kind in ("native", "syntax"), expand=kind == "native", returns="box" if boxed else "keep")
    body = []
    if kind != "coroutine":
        # A generator even where all its yields are calls, or where it has none.
        body.append(ast.If(ast.Constant(0), [ast.Expr(ast.Yield())], []))
    for statement in node.body:
        new = form.visit(statement)
        body.extend(new if isinstance(new, list) else [new])
    node.body = body
    if boxed:
        node.args.args.append(ast.arg("_box"))
    return node


def make(source: str, form: str, namespace: dict) -> None:
    """Defines a scenario's functions in `namespace`, which has what else their bodies use."""
    namespace.update({name: HELPERS[name] for name in ("_aiter", "_anext", "_value_of", "_missing")})
    namespace.update(yield_=package.yield_, yield_from_=package.yield_from_)
    namespace.update(_decorated=package.async_generator, _boxed=_boxed)
    exec(_compiled(source, form), namespace)


def _boxed(function):
    """A native generator function that puts its return value into a box, and what takes it out again."""

    @functools.wraps(function)
    def make():
        box = []
        return Reference(function(box), box)

    return make
