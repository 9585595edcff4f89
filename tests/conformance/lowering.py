"""A scenario as the line form that the C++ runner reads: bodies as instructions, fields separated by tabs.

Blocks become jumps, so that one coroutine can interpret any nesting: C++ has no `finally`, and cannot suspend in a handler.
What C++ has no counterpart of is refused, with the reason; such a scenario says `not on cpp` in the table.
"""

from __future__ import annotations

import ast

from forms import is_body
from table import Op, Scenario

#: The classes that bodies raise and catch, each with its base: the C++ runner's exceptions have these names.
BASES = {
    "BaseException": "",
    "GeneratorExit": "BaseException",
    "Exception": "BaseException",
    "ValueError": "Exception",
    "KeyError": "Exception",
    "TypeError": "Exception",
    "AttributeError": "Exception",
    "RuntimeError": "Exception",
    "StopIteration": "Exception",
    "StopAsyncIteration": "Exception",
}


class NoCounterpart(Exception):
    """C++ cannot say this; the text is the Python that it cannot say."""


class Body:
    """The instructions of one body. A label is an index; instructions that jump get theirs when it is known."""

    def __init__(self, names: set[str]) -> None:
        self.bodies = names
        self.lines: list[list[str]] = []

    def emit(self, *fields: str) -> list[str]:
        self.lines.append(list(fields))
        return self.lines[-1]

    def here(self) -> str:
        return str(len(self.lines))

    def block(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Pass() | ast.Expr(value=ast.Constant()):
                pass
            case ast.Expr(value=ast.Call(func=ast.Name("log"), args=words)):
                self.emit("log", *(self.word(word) for word in words))
            case ast.Expr(value=value):
                self.suspension(value, "-")
            case ast.Assign(targets=[ast.Name(name)], value=ast.Constant() as constant):
                self.emit("set", self.word(constant), name)
            case ast.Assign(targets=[ast.Name(name)], value=value):
                self.suspension(value, name)
            case ast.Return(value=ast.Yield() | ast.YieldFrom() | ast.Await() as value):
                self.suspension(value, "_returned")
                self.emit("return", "v:_returned")
            case ast.Return(value=value):
                self.emit("return", "c:None" if value is None else self.operand(value))
            case ast.Raise(exc=None):
                self.emit("reraise")
            case ast.Raise(exc=exception, cause=None):
                self.emit("raise", *error_of(exception))
            case ast.Try():
                self.try_(node)
            case ast.For(iter=ast.Call(func=ast.Name("range"), args=[ast.Constant(count)]), orelse=[]):
                self.emit("loop", str(count))
                top = self.here()
                end = self.emit("next", "")
                self.block(node.body)
                self.emit("jump", top)
                end[1] = self.here()
            case ast.If(test=test):
                self.if_(node, test)
            case _:
                raise NoCounterpart(ast.unparse(node))

    def suspension(self, node: ast.expr, target: str) -> None:
        match node:
            case ast.Yield(value=None):
                self.emit("yield", "c:None", target)
            case ast.Yield(value=value):
                self.emit("yield", self.operand(value), target)
            case ast.Await(value=ast.Call(func=ast.Name("loop"), args=arguments)):
                self.emit("await", self.operand(arguments[0]) if arguments else "c:None", target)
            case ast.YieldFrom(value=ast.Name(name)):
                self.emit("delegate", "generator", name, target)
            case ast.YieldFrom(value=ast.Call(func=ast.Name(name), args=[])) if name in self.bodies:
                self.emit("delegate", "body", name, target)
            case ast.YieldFrom(
                value=ast.Call(func=ast.Name("offering"), args=[ast.Call(func=ast.Name(name)), *offers])
            ):
                words = [ast.literal_eval(word) for word in offers]
                self.emit("delegate", "offering " + " ".join(words), name, target)
            case _:
                raise NoCounterpart(ast.unparse(node))

    def try_(self, node: ast.Try) -> None:
        if node.finalbody:
            block = self.emit("finally", "")
            self.guarded(node)
            self.emit("pop")
            self.emit("enterfinally")
            block[1] = self.here()
            self.block(node.finalbody)
            self.emit("endfinally")
        else:
            self.guarded(node)

    def guarded(self, node: ast.Try) -> None:
        """`try` without its `finally`."""
        if not node.handlers:
            self.block(node.body)
            return
        block = self.emit("except", "")
        self.block(node.body)
        self.emit("pop")
        self.block(node.orelse)
        ends = [self.emit("jump", "")]
        block[1] = self.here()
        for handler in node.handlers:
            unmatched = self.emit("match", "", *classes_of(handler.type))
            if handler.name:
                self.emit("bind", handler.name)
            self.block(handler.body)
            self.emit("leave")
            ends.append(self.emit("jump", ""))
            unmatched[1] = self.here()
        self.emit("reraise")
        for end in ends:
            end[1] = self.here()

    def if_(self, node: ast.If, test: ast.expr) -> None:
        if isinstance(test, (ast.Yield, ast.Await, ast.YieldFrom)):
            self.suspension(test, "_test")
            operand = "v:_test"
        else:
            operand = self.operand(test)
        unless = self.emit("unless", "", operand)
        self.block(node.body)
        end = self.emit("jump", "")
        unless[1] = self.here()
        self.block(node.orelse)
        end[1] = self.here()

    def word(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return f"s:{node.value}"
        if isinstance(node, (ast.Yield, ast.Await, ast.YieldFrom)):
            # Its own variable: a line may log several.
            name = f"_word{len(self.lines)}"
            self.suspension(node, name)
            return f"w:{name}"
        if isinstance(node, ast.Name):
            return f"w:{node.id}"
        return self.operand(node)

    @staticmethod
    def operand(node: ast.expr) -> str:
        if isinstance(node, ast.Name):
            return f"v:{node.id}"
        try:
            return f"c:{ast.literal_eval(node)!r}"
        except ValueError:
            raise NoCounterpart(ast.unparse(node)) from None


def error_of(node: ast.expr) -> tuple[str, str]:
    """Class and text of an exception that is made or named."""
    match node:
        case ast.Name(name):
            arguments: list[ast.expr] = []
        case ast.Call(func=ast.Name(name), args=arguments):
            pass
        case _:
            raise NoCounterpart(ast.unparse(node))
    if name not in BASES:
        raise NoCounterpart(ast.unparse(node))
    values = [ast.literal_eval(argument) for argument in arguments]
    # The text as Python's str() has it: that of a KeyError is the repr of its argument.
    return name, "" if not values else repr(values[0]) if name == "KeyError" else str(values[0])


def classes_of(node: ast.expr | None) -> list[str]:
    names = (
        ["BaseException"]
        if node is None
        else [part.id for part in (node.elts if isinstance(node, ast.Tuple) else [node])]
    )
    for name in names:
        if name not in BASES:
            raise NoCounterpart(name)
    return names


def lowered_op(op: Op) -> list[str]:
    argument: list[str] = []
    if op.verb in ("throw",) or op.operation.endswith(".athrow"):
        argument = list(error_of(ast.parse(str(op.argument), mode="eval").body))
    elif op.verb in ("make", "start", "send"):
        argument = [repr(op.argument)]
    elif op.verb == "hooks":
        argument = [str(op.argument)]
    elif op.verb in ("show", "close"):
        raise NoCounterpart(op.verb)
    return [op.verb, op.target, op.operation, *argument]


def lowered(scenario: Scenario) -> str:
    """The scenario as text for the C++ runner. Raises NoCounterpart."""
    if scenario.context:
        raise NoCounterpart("what stands behind an exception")
    nodes = ast.parse(scenario.body).body
    for node in nodes:
        if not is_body(node):
            raise NoCounterpart(ast.unparse(node).partition("\n")[0])
    names = {node.name for node in nodes}
    lines = ["scenario"]
    lines += ["\t".join(("class", name, base)) for name, base in BASES.items()]
    for node in nodes:
        body = Body(names)
        body.block(node.body)
        lines += [f"body\t{node.name}", *("\t".join(fields) for fields in body.lines), "end"]
    unstarted = {step.op.target for step in scenario.steps if step.op.verb == "make"}
    for step in scenario.steps:
        if step.op.verb in ("send", "throw") and step.op.target in unstarted:
            if step.op.verb == "throw" or step.op.argument is not None:
                raise NoCounterpart(f"{step.line}, before {step.op.target} was awaited")
            unstarted.discard(step.op.target)
        lines.append("\t".join(("op", *lowered_op(step.op))))
    return "\n".join([*lines, "run", ""])
