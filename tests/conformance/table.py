"""The conformance table as data: scenarios in text files, one rule each; reading and writing them.

    === 11 value-before-start
    The first asend() of a value is refused, and the generator stays usable.
    --- body
    async def root():
        log("got", (yield 1))
    --- consumer
    asend(5)
        raises TypeError: can't send non-None value to a just-started async generator
    anext()
        item 1

The head has the rules that the scenario is about (rules.txt) and its name. The body is Python in the notation of PEP 828,
`yield from` and `return value` included; `root` is made for the consumer. Each line of the consumer is followed by the
answers it gets, indented. Sections that may follow:

    --- on native 3.10-3.12, calls 3.10-3.12: why     the whole consumer again, with the answers given there
    --- not on cpp: why                               the scenario has no meaning there
    --- show context                                  answers show what an exception was raised from, or while handling

What the words of a consumer mean: docs/conformance.md. How they are performed: runner.py, and cpp/ for C++.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCENARIOS = HERE / "scenarios"
RULES = HERE / "rules.txt"

#: Who answers. `native` is the oracle; `calls` is a native generator, too, and follows its interpreter's rules.
IMPLEMENTATIONS = {
    "native": "the interpreter's own async generators; delegation and return values written out as PEP 828 defines them",
    "coroutine": "`@async_generator` on a coroutine function: `await yield_(x)`, `await yield_from_(d)`, `return v`",
    "syntax": "`@async_generator` on native syntax: `yield x`, `await yield_from_(d)`",
    "structured": "`@async_generator(structured=True)` on a coroutine function",
    "own": '`@async_generator(context="own")` on a coroutine function',
    "layered": '`@async_generator(context="layered")` on a coroutine function',
    "isolated": "`@async_generator(isolated=True)` on a coroutine function, on asyncio, uvloop and anyio",
    "isolated_trio": "the same on trio, and anyio on trio: the consumer is in its block, its delegates are not isolated",
    "calls": "an undecorated native async generator: `await yield_(x)`, `await yield_from_(d)`",
    "plain": "all forms that use the package, without its engine: in plain Python, on CPython",
    "pypy": "the same on PyPy, whose versions are those of its language; what is said of `plain` holds here, too",
    "cpp": "the C++ library: `co_yield x`, `co_await agen::yield_from(d)`, `co_return v`",
}


#: Those with an environment of their own.
ENVIRONMENTS = ("structured", "own", "layered", "isolated", "isolated_trio")


class TableError(Exception):
    """A scenario file says something that has no meaning; the text names the file and the line."""


@dataclass(frozen=True)
class Op:
    """One line of a consumer. `argument` is a value, the source text of an exception, or an expression."""

    verb: str
    target: str = ""
    operation: str = ""
    argument: object = None


@dataclass
class Step:
    line: str
    answers: list[str]
    op: Op


@dataclass
class Place:
    """An implementation, and the versions of CPython that are meant; C++ has none."""

    implementation: str
    oldest: tuple[int, ...] = ()
    newest: tuple[int, ...] = ()

    def covers(self, implementation: str, version: tuple[int, ...]) -> bool:
        if implementation != self.implementation:
            return False
        after = not self.oldest or version[: len(self.oldest)] >= self.oldest
        return after and (not self.newest or version[: len(self.newest)] <= self.newest)

    def __str__(self) -> str:
        numbers = [".".join(map(str, end)) for end in (self.oldest, self.newest)]
        span = "" if not any(numbers) else numbers[0] if numbers[0] == numbers[1] else "-".join(numbers)
        return f"{self.implementation} {span}".strip()


@dataclass
class Variant:
    """What stands apart from the reference: other answers somewhere, or (without steps) no meaning there."""

    places: list[Place]
    reason: str
    steps: list[Step] = field(default_factory=list)

    def covers(self, implementation: str, version: tuple[int, ...]) -> bool:
        return any(place.covers(implementation, version) for place in self.places)

    def covers_too(self, implementation: str, version: tuple[int, ...]) -> bool:
        """What is said of `coroutine` holds with an environment, too, unless the line names one of these."""
        named = any(place.implementation in ENVIRONMENTS for place in self.places)
        return implementation in ENVIRONMENTS and not named and self.covers("coroutine", version)


@dataclass
class Scenario:
    name: str
    rules: list[str]
    sentence: str
    body: str
    steps: list[Step]
    variants: list[Variant] = field(default_factory=list)
    context: bool = False

    def variant(self, implementation: str, version: tuple[int, ...], form: str = "") -> Variant | None:
        """The variant for one implementation on one version of CPython; None where the reference holds.

        Without the engine a form answers as with it, unless the table says otherwise of `plain` or `pypy`: then `form` names
        the form.
        """
        without_engine = {"plain": ("plain", form), "pypy": ("pypy", "plain", form)}
        for one in without_engine.get(implementation, (implementation,)):
            found = [variant for variant in self.variants if variant.covers(one, version)]
            found += [variant for variant in self.variants if variant.covers_too(one, version)]
            if found:
                return found[0]
        return None

    def __str__(self) -> str:
        """The scenario as it stands in a file."""
        lines = [
            f"=== {', '.join(self.rules)} {self.name}",
            self.sentence,
            "--- body",
            self.body.strip("\n"),
            "--- consumer",
        ]
        lines += written(self.steps)
        if self.context:
            lines.append("--- show context")
        for variant in self.variants:
            places = ", ".join(map(str, variant.places))
            lines += [f"--- {'on' if variant.steps else 'not on'} {places}: {variant.reason}", *written(variant.steps)]
        return "\n".join(lines) + "\n"


def written(steps: list[Step]) -> list[str]:
    return [text for step in steps for text in (step.line, *(f"    {answer}" for answer in step.answers))]


def parsed_op(line: str) -> Op:
    """One line of a consumer, which is a Python statement: see docs/conformance.md."""
    statement = ast.parse(line).body[0]
    match statement:
        case ast.Delete(targets=[ast.Name(name)]):
            return Op("del", name)
        case ast.Assign(targets=[ast.Name(name)], value=ast.Call(func=ast.Name("new"), args=[ast.Name(body)])):
            return Op("new", name, body)
        case ast.Assign(targets=[ast.Name(name)], value=ast.Call() as call):
            return made_op("make", name, call)
        case ast.Expr(value=ast.Call(func=ast.Name("send" | "throw" as verb), args=[argument])):
            return Op(verb, "it", argument=argument_of(verb, argument))
        case ast.Expr(value=ast.Call(func=ast.Attribute(ast.Name(name), "send" | "throw" as verb), args=[argument])):
            return Op(verb, name, argument=argument_of(verb, argument))
        case ast.Expr(value=ast.Call(func=ast.Attribute(ast.Name(name), "close"), args=[])):
            return Op("close", name)
        case ast.Expr(value=ast.Call(func=ast.Name("cancel"), args=arguments)):
            return Op("cancel", arguments[0].id if arguments else "it")
        case ast.Expr(value=ast.Call(func=ast.Name("running" | "finished" as verb), args=arguments)):
            return Op(verb, arguments[0].id if arguments else "root")
        case ast.Expr(value=ast.Call(func=ast.Name("hooks"), args=arguments)):
            return Op("hooks", argument=ast.literal_eval(arguments[0]) if arguments else "none")
        case ast.Expr(value=ast.Call(func=ast.Name("show"))):
            return Op("show", argument=line[len("show(") : -1])
        case ast.Expr(value=ast.Call() as call):
            return made_op("start", "it", call)
    raise SyntaxError(f"no line of a consumer: {line}")


def made_op(verb: str, name: str, call: ast.Call) -> Op:
    """`anext()`, `inner.asend(5)`: which operation on which generator, with what."""
    match call.func:
        case ast.Name(operation):
            generator = "root"
        case ast.Attribute(ast.Name(generator), operation):
            pass
        case _:
            raise SyntaxError(f"no operation: {ast.unparse(call)}")
    if operation not in ("anext", "asend", "athrow", "aclose") or len(call.args) != (operation in ("asend", "athrow")):
        raise SyntaxError(f"no operation: {ast.unparse(call)}")
    argument = argument_of(operation, call.args[0]) if call.args else None
    return Op(verb, name, f"{generator}.{operation}", argument)


def argument_of(verb: str, node: ast.expr) -> object:
    """A literal; an exception stays source text, since each run makes its own."""
    return ast.unparse(node) if verb in ("throw", "athrow") else ast.literal_eval(node)


def parsed_steps(lines: list[tuple[int, str]], where: str) -> list[Step]:
    steps: list[Step] = []
    for number, line in lines:
        if not line.strip():
            continue
        if line.startswith("    "):
            if not steps:
                raise TableError(f"{where}:{number}: an answer before the first line of the consumer")
            steps[-1].answers.append(line.strip())
            continue
        try:
            steps.append(Step(line.strip(), [], parsed_op(line.strip())))
        except (SyntaxError, ValueError) as error:
            raise TableError(f"{where}:{number}: {error}") from error
    return steps


PLACE = re.compile(r"(?P<name>\w+)(?: (?P<span>(?P<from>[\d.]*)(?P<dash>-?)(?P<to>[\d.]*)))?")


def parsed_places(text: str, where: str) -> list[Place]:
    places = []
    for part in text.split(","):
        found = PLACE.fullmatch(part.strip())
        if not found or found["name"] not in IMPLEMENTATIONS:
            raise TableError(f"{where}: no implementation: {part.strip()!r}")
        ends = [tuple(int(n) for n in (found[key] or "").split(".") if n) for key in ("from", "to")]
        places.append(Place(found["name"], ends[0], ends[1] if found["dash"] else ends[0]))
    return places


def parse(text: str, where: str = "<scenario>") -> list[Scenario]:
    """All scenarios of a file's text. Raises TableError, which names the line."""
    scenarios: list[Scenario] = []
    sections: list[tuple[int, str, list[tuple[int, str]]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.rstrip()
        if line.startswith("=== "):
            sections.append((number, line, []))
        elif line.startswith("--- "):
            sections.append((number, line, []))
        elif sections:
            sections[-1][2].append((number, line))
        elif line and not line.startswith("#"):
            raise TableError(f"{where}:{number}: text before the first scenario; a comment starts with #")
    for number, head, lines in sections:
        at = f"{where}:{number}"
        if head.startswith("=== "):
            *rules, name = head[4:].replace(",", " ").split()
            sentence = " ".join(line.strip() for _, line in lines if line.strip() and not line.startswith("#"))
            if not rules or not sentence:
                raise TableError(f"{at}: a scenario needs a rule, a name and a sentence")
            scenarios.append(Scenario(name, rules, sentence, "", []))
            continue
        if not scenarios:
            raise TableError(f"{at}: a section outside a scenario")
        one = scenarios[-1]
        if head == "--- body":
            one.body = "\n".join(line for _, line in lines).strip("\n") + "\n"
        elif head == "--- consumer":
            one.steps = parsed_steps(lines, where)
        elif head == "--- show context":
            one.context = True
        elif head.startswith(("--- on ", "--- not on ")):
            places, colon, reason = head.partition(" on ")[2].partition(":")
            if not colon or not reason.strip():
                raise TableError(f"{at}: a variant needs its reason, after a colon")
            one.variants.append(Variant(parsed_places(places, at), reason.strip(), parsed_steps(lines, where)))
        else:
            raise TableError(f"{at}: no section: {head}")
    for one in scenarios:
        check(one, where)
    return scenarios


def check(one: Scenario, where: str) -> None:
    try:
        bodies = [node.name for node in ast.parse(one.body).body if isinstance(node, ast.AsyncFunctionDef)]
    except SyntaxError as error:
        raise TableError(f"{where}: {one.name}: body, line {error.lineno}: {error.msg}") from error
    if "root" not in bodies:
        raise TableError(f"{where}: {one.name}: no body is called root")
    if not one.steps:
        raise TableError(f"{where}: {one.name}: the consumer does nothing")
    for variant in one.variants:
        if variant.steps and [step.line for step in variant.steps] != [step.line for step in one.steps]:
            raise TableError(f"{where}: {one.name}: a variant's consumer differs; only its answers may")


def load(paths: list[Path] | None = None) -> list[Scenario]:
    """The scenarios of some files, or of the whole table; names are unique."""
    found: list[Scenario] = []
    for path in paths or sorted(SCENARIOS.glob("*.scn")):
        found += parse(path.read_text(encoding="utf-8"), path.name)
    seen: set[str] = set()
    for one in found:
        if one.name in seen:
            raise TableError(f"two scenarios are called {one.name}")
        seen.add(one.name)
    return found


def rules() -> dict[str, tuple[str, str]]:
    """Number (or name, for clauses of PEP 828) of each rule: what it says, and why it has no scenario if it has none."""
    found = {}
    for line in RULES.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            number, _, said = line.partition(" ")
            said, _, without = said.strip().partition(" [no scenario: ")
            found[number] = (said, without.rstrip("]"))
    return found


def groups() -> dict[str, str]:
    """The files of scenarios by what they are about, each with the first of its rules."""
    named = (path.stem.partition("-") for path in SCENARIOS.glob("*.scn"))
    return {name: first for first, _, name in sorted(named, key=lambda parts: int(parts[0]))}


def group(rule: str) -> str:
    """What a rule belongs to."""
    number = int(rule.partition(".")[0])
    return [name for name, first in groups().items() if int(first) <= number][-1]
