"""PEP 828 on interpreters that do not have it, and the variants in which the delegation tests run.

A test writes each body once, in the style of this package: `await yield_(x)`, `await yield_from_(d)`, `return v`.
From its source this module builds the same body in other forms: native syntax, a helper coroutine in between,
and the *reference*, in which every delegation is written out as PEP 828 defines it, on top of the interpreter's own
`yield`. The reference needs nothing of the package, so a case that passes with it states what the language does.
What the package answers belongs in the tests, not here.
"""

from __future__ import annotations

import ast
import functools
import itertools
import types
from dataclasses import dataclass

import async_generator as package

# The delegation `RESULT = yield from EXPR` of PEP 828, statement by statement. An exception that is thrown in is carried
# out of its handler before the delegate meets it: in the interpreter no delegating body is handling it either. Names end
# in a number, so that two delegations in one body do not share their state.
EXPANSION = """
_iterator = _aiter(_expression)
_received = _thrown = _method = None
while True:
    try:
        if _thrown is not None:
            _item = await _method(_thrown)
        elif _received is not None:
            _item = await _iterator.asend(_received)
        else:
            _item = await _anext(_iterator)
    except StopAsyncIteration as _stop:
        _result = _value_of(_stop)
        break
    finally:
        _received = _thrown = _method = None
    try:
        _received = yield _item
    except BaseException as _error:
        _thrown = _error
    if _thrown is not None:
        _name = "aclose" if isinstance(_thrown, GeneratorExit) else "athrow"
        try:
            _method = getattr(_iterator, _name)
        except AttributeError:
            _method = _missing
        if _name == "aclose" or _method is _missing:
            try:
                if _name == "aclose" and _method is not _missing:
                    await _method()
                    raise _thrown
                raise _thrown from None
            finally:
                _thrown = _method = None
"""


def value_of(stop):
    """The value of a StopAsyncIteration as PEP 828 has it: `.value` where it is set, else the first argument."""
    try:
        return stop.value
    except AttributeError:
        return stop.args[0] if stop.args else None


class Reference:
    """A native generator with the return values of PEP 828: `return v` ends it with `StopAsyncIteration(v)`."""

    def __init__(self, native, box):
        self.native = native
        self.box = box

    def __aiter__(self):
        return self

    def __anext__(self):
        return self._ended(self.native.__anext__())

    def asend(self, value):
        return self._ended(self.native.asend(value))

    def athrow(self, error):
        return self._ended(self.native.athrow(error))

    def aclose(self):
        return self.native.aclose()

    async def _ended(self, awaitable):
        if self.native.ag_frame is None:
            self.box.clear()  # returned while it was closed: nobody gets the value
        try:
            return await awaitable
        except StopAsyncIteration as stop:
            # The end carries the value once; what the body itself raised is wrapped by the interpreter and not seen here.
            if not self.box:
                raise
            end = stop
        value = self.box.pop()
        self.box.clear()
        end.args = () if value is None else (value,)
        raise end


class BodyForm(ast.NodeTransformer):
    """Rewrites one body. Functions inside it are left as they are."""

    def __init__(self, *, native_yield, expand, returns):
        self.native_yield = native_yield
        self.expand = expand
        self.returns = returns
        self.numbers = itertools.count()

    def nested(self, node):
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = visit_ClassDef = nested

    def visit_Await(self, node):
        self.generic_visit(node)
        match node.value:
            case ast.Call(func=ast.Name("yield_"), args=arguments) if self.native_yield:
                return ast.Yield(value=arguments[0] if arguments else None)
            case ast.Call(func=ast.Name("yield_from_")) if self.expand:
                raise SyntaxError(f"line {node.lineno}: the reference expands a delegation only as a statement")
        return node

    def delegation(self, node, finish):
        """The statements of one delegation, with `finish(result)` behind them."""
        match node.value:
            case ast.Await(value=ast.Call(func=ast.Name("yield_from_"), args=[delegate])) if self.expand:
                pass
            case _:
                return None
        number = next(self.numbers)
        rename = Renamed(number)
        statements = [rename.visit(statement) for statement in ast.parse(EXPANSION).body]
        start = ast.Assign(targets=[ast.Name(f"_expression_{number}", ast.Store())], value=self.visit(delegate))
        result = ast.Name(f"_result_{number}", ast.Load())
        block = [start, *statements, *finish(result)]
        for statement in block:
            for inner in ast.walk(statement):
                inner.lineno = node.lineno
                inner.end_lineno = node.lineno
                inner.col_offset = node.col_offset
                inner.end_col_offset = node.col_offset
        return block

    def visit_Expr(self, node):
        return self.delegation(node, lambda result: []) or self.generic_visit(node)

    def visit_Assign(self, node):
        block = self.delegation(node, lambda result: [ast.Assign(targets=node.targets, value=result)])
        return block or self.generic_visit(node)

    def visit_Return(self, node):
        if node.value is None:
            return node
        block = self.delegation(node, self.returned)
        if block:
            return block
        self.generic_visit(node)
        return self.returned(node.value, node)

    def returned(self, value, node=None):
        match self.returns:
            case "keep":
                return [ast.Return(value=value)] if node is None else node
            case "mute":
                return [ast.Expr(value=value), ast.Return(value=None)]
            case "box":
                keep = ast.Attribute(ast.Name("_box", ast.Load()), "append", ast.Load())
                return [ast.Expr(ast.Call(keep, [value], [])), ast.Return(value=None)]
        raise AssertionError(self.returns)


class Renamed(ast.NodeTransformer):
    """Numbers the names of EXPANSION that are its own."""

    own = frozenset("_iterator _item _received _method _name _result _expression _thrown _error _stop".split())

    def __init__(self, number):
        self.number = number

    def visit_Name(self, node):
        return ast.Name(f"{node.id}_{self.number}", node.ctx) if node.id in self.own else node

    def visit_ExceptHandler(self, node):
        self.generic_visit(node)
        if node.name in self.own:
            node.name = f"{node.name}_{self.number}"
        return node


class CallsRenamed(ast.NodeTransformer):
    """Sends `yield_` and `yield_from_` of one body through other functions of the same meaning."""

    def __init__(self, ending):
        self.ending = ending

    def visit_Name(self, node):
        if node.id in ("yield_", "yield_from_"):
            return ast.copy_location(ast.Name(f"_{node.id}{self.ending}", node.ctx), node)
        return node


async def yield_in_helper(*value):
    return await package.yield_(*value)


async def yield_from_in_helper(delegate):
    return await package.yield_from_(delegate)


HELPERS = {
    "_yield_as_alias": package.yield_,
    "_yield_from_as_alias": package.yield_from_,
    "_aiter": aiter,
    "_anext": anext,
    "_value_of": value_of,
    "_missing": object(),
    "_yield_in_helper": yield_in_helper,
    "_yield_from_in_helper": yield_from_in_helper,
}


@functools.cache
def definitions(filename):
    """Every function definition of a file by the line its code object starts at."""
    with open(filename, encoding="utf-8") as file:
        tree = ast.parse(file.read(), filename)
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found[min([node.lineno, *(d.lineno for d in node.decorator_list)])] = node
    return found


@functools.cache
def rebuilt_code(code, native_yield, expand, returns, helper):
    """The code of a body in another form, compiled so that the free variables keep their names."""
    node = copied(definitions(code.co_filename)[code.co_firstlineno])
    node.decorator_list = []
    node.returns = None
    node.args.defaults = []
    node.args.kw_defaults = [None] * len(node.args.kwonlyargs)
    form = BodyForm(native_yield=native_yield, expand=expand, returns=returns)
    body = []
    for statement in node.body:
        new = form.visit(statement)
        body.extend(new if isinstance(new, list) else [new])
    if returns != "keep":
        # A native generator even where its yields have become calls.
        body.insert(0, ast.If(ast.Constant(0), [ast.Expr(ast.Yield())], []))
    if helper:
        body = [CallsRenamed(helper).visit(statement) for statement in body]
    node.body = body
    free = [name for name in code.co_freevars if name not in HELPERS]
    factory = ast.parse(f"def _factory({', '.join([*free, *HELPERS, '_box'])}):\n    pass")
    factory.body[0].body = [node]
    ast.fix_missing_locations(factory)
    compiled = compile(factory, code.co_filename, "exec")
    outer = next(c for c in compiled.co_consts if isinstance(c, types.CodeType))
    inner = next(c for c in outer.co_consts if isinstance(c, types.CodeType))
    return inner.replace(co_qualname=code.co_qualname) if hasattr(code, "co_qualname") else inner


def copied(node):
    """A deep copy of a syntax tree."""
    if isinstance(node, list):
        return [copied(item) for item in node]
    if not isinstance(node, ast.AST):
        return node
    new = type(node)(**{name: copied(value) for name, value in ast.iter_fields(node)})
    return ast.copy_location(new, node)


def rebuilt(function, box=None, *, native_yield, expand=False, returns, helper=None):
    """`function` with its body in another form; closure, defaults and names stay."""
    code = rebuilt_code(function.__code__, native_yield, expand, returns, helper)
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or ()))
    for name in code.co_freevars:
        if name not in cells:
            cells[name] = types.CellType(box if name == "_box" else HELPERS[name])
    new = types.FunctionType(
        code, function.__globals__, function.__name__, function.__defaults__, tuple(cells[n] for n in code.co_freevars)
    )
    new.__kwdefaults__ = function.__kwdefaults__
    new.__qualname__ = function.__qualname__
    return new


def reference(function, returns="box"):
    """A generator function with PEP 828's delegation and return values, by the interpreter's own means alone.

    With `returns="mute"` it returns nothing, as native syntax does up to 3.15.
    """

    @functools.wraps(function)
    def make(*args, **kwargs):
        box = []
        body = rebuilt(function, box, native_yield=True, expand=True, returns=returns)
        return Reference(body(*args, **kwargs), box)

    return make


def decorated_coroutine(function):
    return package.async_generator(function)


def decorated_coroutine_with_helper(function):
    return package.async_generator(rebuilt(function, native_yield=False, returns="keep", helper="in_helper"))


def decorated_coroutine_with_alias(function):
    # The package may compile `await yield_()` into a real yield where the name is a global; here it is not.
    return package.async_generator(rebuilt(function, native_yield=False, returns="keep", helper="as_alias"))


def decorated_syntax(function):
    return package.async_generator(rebuilt(function, native_yield=True, returns="mute"))


def native(function):
    return rebuilt(function, native_yield=True, returns="mute")


def native_with_calls(function):
    return rebuilt(function, native_yield=False, returns="mute")


def native_with_helper(function):
    return rebuilt(function, native_yield=False, returns="mute", helper="in_helper")


@dataclass(frozen=True)
class Kind:
    """One way to make a generator function from a body. `returns` is false where the syntax has no return value."""

    name: str
    make: object
    returns: bool
    ours: bool


KINDS = {
    kind.name: kind
    for kind in (
        Kind("coroutine", decorated_coroutine, True, True),
        Kind("coroutine_helper", decorated_coroutine_with_helper, True, True),
        Kind("coroutine_alias", decorated_coroutine_with_alias, True, True),
        Kind("syntax", decorated_syntax, False, True),
        Kind("native", native, False, False),
        Kind("native_calls", native_with_calls, False, False),
        Kind("native_helper", native_with_helper, False, False),
        Kind("reference", reference, True, False),
    )
}

DELEGATORS = ["coroutine", "coroutine_helper", "coroutine_alias", "syntax", "native", "native_helper", "reference"]
DELEGATES = ["coroutine", "coroutine_helper", "coroutine_alias", "syntax", "native", "native_calls", "reference"]


def by_hand(awaitable):
    """The result of an awaitable that awaits nothing, driven by its own methods."""
    steps = awaitable.__await__()
    try:
        trap = steps.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError(f"an unexpected trap: {trap!r}")


def by_await(awaitable):
    """The same from an `await` in a coroutine, which is the path that programs take."""

    async def consumer():
        return await awaitable

    return by_hand(consumer())


DRIVERS = {"by_hand": by_hand, "by_await": by_await}


class Kit:
    """What a case needs: decorators for its two kinds of generator, a driver, and the words for what it saw."""

    def __init__(self, delegator, delegate, driver):
        self.outer_kind = KINDS[delegator]
        self.inner_kind = KINDS[delegate]
        self.finish = DRIVERS[driver]
        self.outer = self.outer_kind.make
        self.inner = self.inner_kind.make

    def returned(self, value):
        """What a delegate's `return value` gives: native syntax has no return values."""
        return value if self.inner_kind.returns else None

    def result(self, value):
        """The same for the delegating generator."""
        return value if self.outer_kind.returns else None

    def anext(self, generator):
        return self.finish(generator.__anext__())

    def asend(self, generator, value):
        return self.finish(generator.asend(value))

    def athrow(self, generator, error):
        return self.finish(generator.athrow(error))

    def aclose(self, generator):
        return self.finish(generator.aclose())

    def items(self, generator):
        async def collect():
            return [item async for item in generator]

        return self.finish(collect())

    def running(self, generator):
        return getattr(generator, "native", generator).ag_running

    def raised(self, operation, *args):
        """The exception that an operation ends with."""
        try:
            value = operation(*args)
        except BaseException as error:
            return error
        raise AssertionError(f"nothing was raised; the answer was {value!r}")

    def end(self, operation, *args):
        """The StopAsyncIteration that an operation ends with."""
        error = self.raised(operation, *args)
        assert type(error) is StopAsyncIteration, error
        return error

    def assert_finished(self, generator):
        end = self.end(self.anext, generator)
        assert end.args == ()
        assert end.__context__ is None


_PRINCIPAL = ["coroutine", "syntax", "native", "reference"]

#: The parameters of a kit for pairs of generators: the principal kinds with each other; each of the others, which differ
#: from a principal one only in how the body reaches yield_() and yield_from_(), with itself and with two of those.
PAIRS = [(outer, inner, "by_await") for outer in _PRINCIPAL for inner in _PRINCIPAL]
PAIRS += [
    (outer, inner, "by_await")
    for outer in DELEGATORS
    for inner in DELEGATES
    if (outer in _PRINCIPAL) != (inner in _PRINCIPAL) and {outer, inner} & {"coroutine", "native"} or outer == inner
    if not (outer in _PRINCIPAL and inner in _PRINCIPAL)
]
# By hand only where the package's own awaitables, or native ones over them, are what is driven.
PAIRS += [(outer, inner, "by_hand") for outer in ("coroutine", "native") for inner in ("coroutine", "syntax", "native")]

#: The parameters of a kit for cases whose delegate is an object of the test's own.
SINGLES = [(outer, "native", driver) for outer in DELEGATORS for driver in DRIVERS]


def pair_name(pair):
    return "-".join(pair)


def context_chain(error):
    """The exceptions behind an exception, nearest first."""
    chain = []
    while error.__context__ is not None:
        error = error.__context__
        chain.append(error)
    return chain


def frames(error):
    """The names of the functions in an exception's traceback, outermost first."""
    names = []
    traceback = error.__traceback__
    while traceback is not None:
        names.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    return names
