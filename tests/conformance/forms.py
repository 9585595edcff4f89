"""The bodies of a scenario, compiled for each Python implementation.

A scenario is written in the notation of PEP 828, which no interpreter before 3.16 compiles. Here lives its translation
into the syntaxes of the package, and for the oracle into native generators with each delegation written out.
"""

from __future__ import annotations

import ast
import functools
import sys
import warnings

import async_generator as package
from yield_from_reference import HELPERS, BodyForm, CallsRenamed, Reference, copied

CPYTHON = sys.implementation.name == "cpython"
#: The implementations of the table on Python. The oracle is CPython; only there are dropped generators closed at once.
FORMS = ("native", "coroutine", "syntax", "calls", "structured", "own", "layered")
if not CPYTHON:
    FORMS = ("coroutine", "syntax", "own", "layered")
#: What answers in this process if it is not the engine: a name of the table's, which then stands for all forms of ours.
WITHOUT_ENGINE = "" if package._has_engine else "plain" if CPYTHON else "pypy"
#: Those that have answers in an event loop only (loop_runner.py), and all together; without the engine
#: tests/python has those.
ON_LOOPS = ("isolated", "isolated_trio")
COLUMNS = FORMS if WITHOUT_ENGINE else (*FORMS, *ON_LOOPS)
#: Those of them with an environment of its own, and how the decorator is asked for it.
ENVIRONMENTS = {
    "structured": {"structured": True},
    "own": {"context": "own"},
    "layered": {"context": "layered"},
    "isolated": {"isolated": True},
}
#: Further ways to reach yield_() and yield_from_(), for random scenarios: through helper coroutines, and by other names.
KINDS = (*FORMS, "helper", "alias", "calls_helper")


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
    return isinstance(node, ast.AsyncFunctionDef) and any(
        isinstance(part, (ast.Yield, ast.YieldFrom)) for part in ast.walk(node)
    )


def expressible(source: str, form: str) -> str:
    """Why a scenario's root cannot be written in a form; empty where it can."""
    root = next(node for node in ast.parse(source).body if is_body(node) and node.name == "root")
    if form in ("syntax", "calls") and returns_value(root):
        return "native syntax has no return values before 3.16"
    return ""


def kinds_of(source: str, form: str | dict[str, str]) -> dict[str, str]:
    """The kind of each body of a scenario, where `form` names one for all, or each by its name."""
    kinds = {}
    for node in ast.parse(source).body:
        if is_body(node):
            kind = form if isinstance(form, str) else form[node.name]
            # What has a return value is written in the syntax that has them, also where others delegate to it.
            kinds[node.name] = (
                "coroutine" if kind in ("syntax", "calls", "calls_helper") and returns_value(node) else kind
            )
    return kinds


@functools.lru_cache(maxsize=64)
def _compiled(source: str, kinds: tuple[tuple[str, str], ...]):
    """The code of all bodies of a scenario, each in its kind."""
    module = ast.parse(source)
    kind_of = dict(kinds)
    module.body = [_translated(node, kind_of[node.name]) if is_body(node) else node for node in module.body]
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", SyntaxWarning
        )  # 3.14+ warns of `return` in a `finally`, which is a case like others
        return compile(ast.fix_missing_locations(module), "<scenario>", "exec", dont_inherit=True)


def _translated(node, kind):
    boxed = kind == "native" and returns_value(node)
    node = _ToCalls().visit(copied(node))
    if boxed:
        # Whichever way the body ends says what it returns: an earlier `return v` may have been overridden by a `finally`.
        for part in ast.walk(node):
            if isinstance(part, ast.Return) and part.value is None:
                part.value = ast.Constant(None)
        node.body.append(ast.Return(ast.Constant(None)))
    form = BodyForm(
        native_yield=kind in ("native", "syntax"), expand=kind == "native", returns="box" if boxed else "keep"
    )
    body = []
    if kind not in ("coroutine", "helper", "alias", *ENVIRONMENTS):
        # A generator even where all its yields are calls.
        body.append(ast.If(ast.Constant(0), [ast.Expr(ast.Yield())], []))
    for statement in node.body:
        new = form.visit(statement)
        body.extend(new if isinstance(new, list) else [new])
    node.body = body
    if kind in ("helper", "calls_helper", "alias"):
        node = CallsRenamed("as_alias" if kind == "alias" else "in_helper").visit(node)
    finish = (
        "_boxed"
        if boxed
        else None
        if kind in ("native", "calls", "calls_helper")
        else f"_{kind}"
        if kind in ENVIRONMENTS
        else "_decorated"
    )
    node.decorator_list = [ast.Name(finish, ast.Load())] if finish else []
    if boxed:
        node.args.args.append(ast.arg("_box"))
    return node


def make(source: str, form: str | dict[str, str], namespace: dict) -> None:
    """Defines a scenario's functions in `namespace`, which has what else their bodies use."""
    namespace.update(HELPERS, yield_=package.yield_, yield_from_=package.yield_from_)
    namespace.update(_decorated=package.async_generator, _boxed=_boxed)
    namespace.update(
        {f"_{name}": package.async_generator(**options) for name, options in ENVIRONMENTS.items() if name in COLUMNS}
    )
    exec(_compiled(source, tuple(kinds_of(source, form).items())), namespace)


def _boxed(function):
    """A native generator function that puts its return value into a box, and what takes it out again."""

    @functools.wraps(function)
    def make():
        box = []
        return Reference(function(box), box)

    return make
