"""One body, written once as a native async generator function, in each syntax that the package offers.

Here lives the rewriting of source and the list of implementations. How a generator is driven: driving.py.
"""

import ast
import inspect
import sys
import textwrap
import types


class _YieldsToCalls(ast.NodeTransformer):
    """`yield x` becomes `await yield_(x)`, in this function and not in those nested in it."""

    def __init__(self, function_node):
        self._outermost = function_node

    def _nested(self, node):
        return self.generic_visit(node) if node is self._outermost else node

    visit_AsyncFunctionDef = visit_FunctionDef = visit_Lambda = _nested

    def visit_Yield(self, node):
        self.generic_visit(node)
        arguments = [] if node.value is None else [node.value]
        call = ast.Call(ast.Name("yield_", ast.Load()), arguments, [])
        return ast.copy_location(ast.Await(call), node)


def _function_node(source, first_line):
    # Columns are lost by the dedent, lines are not: a traceback shows the line that the author wrote.
    tree = ast.parse(textwrap.dedent(source))
    ast.increment_lineno(tree, first_line - 1)
    node = tree.body[0]
    assert isinstance(node, ast.AsyncFunctionDef), ast.dump(node)
    node.decorator_list = []
    return node


def _compiled(node, function):
    """`node` as a function with the globals, closure, defaults and names of `function`."""
    free = function.__code__.co_freevars
    if free:
        arguments = ast.arguments(
            posonlyargs=[], args=[ast.arg(name) for name in free], kwonlyargs=[], kw_defaults=[], defaults=[]
        )
        node = ast.FunctionDef(name="_closure", args=arguments, body=[node], decorator_list=[], type_params=[])
        ast.copy_location(node, node.body[0])
    module = ast.fix_missing_locations(ast.Module([node], []))
    code = compile(module, function.__code__.co_filename, "exec", dont_inherit=True)
    while code.co_name != function.__code__.co_name:
        code = next(
            constant
            for constant in code.co_consts
            if isinstance(constant, types.CodeType) and constant.co_name in ("_closure", function.__code__.co_name)
        )
    if sys.version_info >= (3, 11):
        code = code.replace(co_qualname=function.__code__.co_qualname)
    cells = dict(zip(free, function.__closure__ or (), strict=True))
    made = types.FunctionType(
        code,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        tuple(cells[name] for name in code.co_freevars) or None,
    )
    made.__kwdefaults__ = function.__kwdefaults__
    made.__qualname__ = function.__qualname__
    made.__module__ = function.__module__
    made.__doc__ = function.__doc__
    made.__dict__.update(function.__dict__)
    if sys.version_info >= (3, 14):
        made.__annotate__ = function.__annotate__  # evaluated when somebody asks
    else:
        made.__annotations__ = dict(function.__annotations__)
    return made


def with_calls(function, *, generator):
    """`function` with `await yield_(x)` for each `yield x`.

    With `generator` true it stays an async generator function by means of a yield that is never reached.
    """
    import async_generator

    source = inspect.getsource(function)
    node = _function_node(source, function.__code__.co_firstlineno)
    node = _YieldsToCalls(node).visit(node)
    if generator:
        dead = ast.parse("if False: yield").body[0]
        for part in ast.walk(dead):
            ast.copy_location(part, node.body[-1])
        node.body.append(dead)
    # yield_ is a global of the body, as in every real program.
    function.__globals__["yield_"] = async_generator.yield_
    return _compiled(node, function)


class Implementation:
    """Makes a generator function of a native one; called as a decorator. Knows which rules the result follows."""

    def __init__(self, name, *, ours, rewritten):
        self.name = name
        #: The generators are the package's own: they follow the newest rules on every version.
        self.ours = ours
        #: The body says `await yield_(x)`.
        self.rewritten = rewritten

    def __repr__(self):
        return self.name

    def __call__(self, function):
        assert inspect.isasyncgenfunction(function), "write the body as a native async generator function"
        if self.name == "native":
            return function
        if self.rewritten:
            function = with_calls(function, generator=self.name == "undecorated")
        if not self.ours:
            return function
        import async_generator

        return async_generator.async_generator(function)

    def since(self, *version):
        """Whether a rule holds that native follows from `version` on, and the package on all versions."""
        return self.ours or sys.version_info >= version


IMPLEMENTATIONS = {
    one.name: one
    for one in (
        Implementation("native", ours=False, rewritten=False),
        Implementation("decorated", ours=True, rewritten=True),
        Implementation("decorated_native", ours=True, rewritten=False),
        Implementation("undecorated", ours=False, rewritten=True),
    )
}
