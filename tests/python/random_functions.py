"""Functions drawn at random around `yield_` and `yield_from_`, and what they do when they are driven.

`source(seed)` writes a coroutine function; `transcript(function, seed)` drives a generator over it and tells everything that
can be seen: items, return value, exceptions with their contexts and the lines of their tracebacks, the lines at which it stood,
and the order of side effects.
"""

import random
import re
import sys
import types

FILE = "<random function>"
STEPS = 14


class Writer:
    """Draws statements and expressions. Depth is what is left to nest."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.noted = 0
        self.loops = 0  # in the function that is being written
        self.protected = 0  # `finally` bodies that must not be left on versions that warn of it

    def pick(self, *choices):
        return self.random.choice(choices)

    def maybe(self, chance=0.3):
        return self.random.random() < chance

    # Expressions ------------------------------------------------------------------------------------------------------

    def broken(self, text):
        """Within brackets a line may end anywhere."""
        return f"\n{text}" if self.maybe(0.08) else text

    def note(self):
        self.noted += 1
        return f"{self.pick('note', 'note', 'note', 'fail')}({self.noted})"

    def atom(self):
        return self.pick("a", "b", self.note(), self.note(), "None", "0", "1", "'text'", "()")

    def expression(self, depth):
        if depth <= 0:
            return self.atom()
        kind = self.pick("await", "await", "await", "await", "plain", "plain", "comprehension", "atom")
        return getattr(self, kind + "_")(depth - 1) if kind != "atom" else self.atom()

    def fill(self, depth, *templates):
        """One of the templates, with an expression for `@e`, another one, maybe on a line of its own, for `@b`, an atom for
        `@a`, a note for `@n`, what is awaited for `@w`, and a call of an operator for `@o`."""
        tokens = {
            "e": lambda: self.expression(depth),
            "b": lambda: self.broken(self.expression(depth)),
            "a": self.atom,
            "n": self.note,
            "w": lambda: self.awaited(depth),
            "o": lambda: self.operation(depth),
        }
        return re.sub("@([a-z])", lambda found: tokens[found[1]](), self.pick(*templates))

    def operation(self, depth):
        """A call of an operator, mostly with one argument, or of a helper."""
        name, argument = self.pick(*[("yield_", "value")] * 5, *[("yield_from_", "delegate")] * 2, ("other", "value"))
        one = self.broken(self.made(depth)) if name == "yield_from_" else "@b"
        if name == "other":
            return self.fill(depth, "other(@e)")
        made = self.fill(
            depth, *[one] * 9, "" if name == "yield_" else one, f"{argument}={one}", f"*[{one}]",
            f"**{{'{argument}': {one}}}", f"wrong={one}", f"{one}, @a",
        )  # fmt: skip
        return f"{name}({made})"

    def made(self, depth):
        """What `yield_from_` gets."""
        name = self.pick("native", "ours", "foreign", "ours", "nested")
        return self.fill(
            depth, f"{name}(@b)", f"{name}(@b)", f"{name}(@b)", f"{name}(a, @e)", f"{name}(end=@e)", f"{name}(*[@e])",
            f"({name}(@e) if @e else ours(1))", f"(@e or {name}(b))", "@e",
        )  # fmt: skip

    def awaited(self, depth):
        """An expression whose value is awaited."""
        if depth <= 0 or self.maybe(0.7):
            return self.operation(depth)
        return self.fill(
            depth - 1, "(@o if @e else @w)", "((@e and @w) or @o)", "(@e and @w or @o)", "(@a if @e else @o)", "(w := @o)",
            "[@o, @a][0]", "(lambda: @o)()", "(lambda q: @o)(@e)", "(yield_ if @e else other)(@a)", "(yield_)(@e)",
            "same(yield_)(@e)", "same(@o)", "same(q=@o)", "yield_.__call__(@e)",
        )  # fmt: skip

    def await_(self, depth):
        awaited = self.awaited(depth)
        return f"(await {self.broken(f'({awaited})') if self.maybe(0.15) else awaited})"

    def plain_(self, depth):
        return self.fill(
            depth, "(@e, @b)", "[*[@e], @e]", "{@n: @e, **{'k': @e}}", "(@e if @e else @e)", "(@e and @e)", "(@e or @e)",
            "(not @e)", f"(@e {self.pick('==', '!=', 'is', 'is not', 'in', '<')} @e)", "(@e == @e != @e)",
            "f'{@e!r} {@e!r:>{3}}'" if sys.version_info >= (3, 12) else "(f'{a!r:>{2}}', @e)", "[@e, @e][0]",
            "[@e, @e][0:1]", "[@e, @e][5]", "(lambda q=@e: (q, @a))()", "same(@b)", "same(q=@b)", "same(*[@e])",
            "same(**{'q': @e})", "pair(@e, @e)", "pair(@e, *[@e])", "pair(q=@e, p=@e)", "pair(*[@e], **{'q': @e})",
            "Holder(@e).value", "Holder(@e).method(@e)", "[w := @e, w]", "(-@e)", "(@e + @e)",
        )  # fmt: skip

    def comprehension_(self, depth):
        async_ = self.pick("", "", "", "async ")
        source = "native(2)" if async_ else self.pick("range(2)", "[@e, 1]", "some(2)")
        clause = f"{async_}for x in {source}"
        clause += self.pick("", "", " if @e", " if x") + self.pick("", "", " for y in [x, @e]")
        head = self.pick("@e", "x", "(x, @e)", "x")
        return self.fill(
            depth - 1, f"[{head} {clause}]", f"[{head} {clause}]", f"len({{repr({head}) {clause}}})",
            f"{{repr(x): {head} {clause}}}", "list(x for x in [@e, 1] if x)",
            f"[z async for z in ({head} {async_}for x in {'native(2)' if async_ else 'range(2)'}) if a is not None]",
        )  # fmt: skip

    # Statements -------------------------------------------------------------------------------------------------------

    def block(self, depth, indent, count=None):
        lines = []
        for _ in range(count or self.random.randint(1, 2)):
            lines += self.statement(depth, indent)
        return lines

    def statement(self, depth, indent):
        kinds = ["assign", "assign", "express", "express", "express", "unpack", "leave", "define"]
        if depth > 0:
            kinds += ["if", "while", "for", "try", "try", "finally", "with", "match", "async_for"]
        return getattr(self, "write_" + self.pick(*kinds))(depth - 1, indent)

    def size(self):
        return self.random.randint(1, 4)

    def write_assign(self, depth, indent):
        target = self.pick("a", "b", "a", "b: object", "Holder(1).value", "store[0]")
        return [indent + f"{target} = {self.expression(self.size())}"]

    def write_express(self, depth, indent):
        return [indent + self.await_(self.size() - 1)]

    def write_unpack(self, depth, indent):
        return [indent + f"a, *b = [{self.expression(2)}, {self.expression(2)}]"]

    def write_define(self, depth, indent):
        return [
            indent + f"def inner(q={self.expression(2)}): return (q, a)",
            indent + f"b = inner({self.await_(1)})",
        ]

    def write_leave(self, depth, indent):
        choices = ["return @e", "raise KeyError(@e)", "raise", "assert @e, @a", "pass"]
        if self.loops and not self.protected:
            choices += ["break", "continue", "break", "continue"]
        choice = self.fill(2, *(choices[1:] if self.protected else choices))
        return [indent + f"if {self.atom()}: {choice}"] if self.maybe(0.8) else [indent + choice]

    def body(self, depth, indent, loop=False):
        self.loops += loop
        lines = self.block(depth, indent + " ")
        self.loops -= loop
        return lines

    def write_if(self, depth, indent):
        lines = [indent + f"if {self.expression(2)}:", *self.body(depth, indent)]
        if self.maybe():
            lines += [indent + f"elif {self.expression(1)}:", *self.body(depth, indent)]
        return lines + ([indent + "else:", *self.body(depth, indent)] if self.maybe() else [])

    def write_while(self, depth, indent):
        lines = [indent + f"while tick() {self.pick('and', 'and not', 'or')} {self.expression(2)}:"]
        lines += [indent + " if not tick(): break", *self.body(depth, indent, loop=True)]
        return lines + ([indent + "else:", *self.body(depth, indent)] if self.maybe() else [])

    def write_for(self, depth, indent):
        lines = [indent + f"for a in [{self.expression(2)}, {self.expression(1)}]:"]
        lines += self.body(depth, indent, loop=True)
        return lines + ([indent + "else:", *self.body(depth, indent)] if self.maybe() else [])

    def write_async_for(self, depth, indent):
        lines = [indent + f"async for a in native({self.expression(2)}):"]
        return lines + self.body(depth, indent, loop=True)

    def write_try(self, depth, indent):
        lines = [indent + "try:", *self.body(depth, indent)]
        for caught in self.random.sample(["KeyError", "TypeError as error", "(LookupError, RuntimeError)"], 2):
            lines += [indent + f"except {caught}:", *self.body(depth, indent)]
        if self.maybe():
            lines += [indent + self.pick("except BaseException as error:", "except:"), *self.body(depth, indent)]
        if self.maybe():
            lines += [indent + "else:", *self.body(depth, indent)]
        return lines + (self.last(depth, indent) if self.maybe() else [])

    def write_finally(self, depth, indent):
        return [indent + "try:", *self.body(depth, indent), *self.last(depth, indent)]

    def last(self, depth, indent):
        leaving = sys.version_info < (3, 14)  # from then on the compiler warns of it
        self.protected += not leaving
        lines = [indent + "finally:", *self.body(depth, indent)]
        self.protected -= not leaving
        return lines

    def write_with(self, depth, indent):
        async_ = self.pick("", "async ")
        lines = [indent + f"{async_}with Manager({self.expression(2)}) as a, Manager({self.expression(1)}):"]
        return lines + self.body(depth, indent)

    def write_match(self, depth, indent):
        lines = [indent + f"match {self.expression(2)}:"]
        lines += [indent + f" case {self.pick('0', '[a, *b]', 'None', 'Holder(value=1)')}:"]
        lines += self.body(depth, indent + " ")
        lines += [indent + f" case b if {self.expression(2)}:", *self.body(depth, indent + " ")]
        return lines

    def function(self):
        lines = ["async def function(a=1, b=None):", " store = {}", " w = 1"]
        lines += self.block(self.random.randint(0, 3), " ", self.random.randint(1, 4))
        return "\n".join(lines) + "\n"


def source(seed):
    """A function that compiles, and its code: an await is drawn where there can be none, too."""
    for attempt in range(100):
        text = Writer(f"{seed} {attempt}").function()
        try:
            return text, compile(text, FILE, "exec")
        except SyntaxError:
            continue
    raise AssertionError(f"nothing compiles from {seed}")


# What the functions use -----------------------------------------------------------------------------------------------


class Marker:
    """What is awaited and reaches the driver."""

    def __repr__(self):
        return "marker"


@types.coroutine
def trap():
    return (yield Marker())


class World:
    """The globals of a function, and the order in which it used them."""

    def __init__(self, operators):
        self.log = []
        self.ticks = 12
        yield_, yield_from_, async_generator = operators
        log = self.log

        def note(number, *more):
            log.append(number)
            return number % 3

        def fail(number):
            log.append(number)
            if number % 7 == 1:
                raise KeyError(number)
            return [number % 2]

        def tick():
            self.ticks -= 1
            log.append("tick")
            return self.ticks > 0

        def same(q=None):
            log.append(("same", shown(q)))
            return q

        def pair(p=None, q=None):
            return [p, q]

        def some(count):
            for number in range(count):
                log.append(("some", number))
                yield number

        async def other(value):
            log.append(("other", shown(value)))
            return (value, await trap()) if value else value

        async def native(value=None, *more, end=None):
            try:
                got = yield ("native", shown(value))
                log.append(("native got", shown(got)))
                if value:
                    yield await trap()
            finally:
                log.append("native ends")

        @async_generator
        async def ours(value=None, *more, end=None):
            try:
                got = await yield_(("ours", shown(value)))
                return (shown(got), shown(more), shown(end))
            finally:
                log.append("ours ends")

        @async_generator
        async def nested(value=None, *more, end=None):
            return ("nested", await yield_from_(ours(value, end=end)))

        class Foreign:
            def __init__(self, value=None, *more, end=None):
                self.left = 2

            def __aiter__(self):
                return self

            async def __anext__(self):
                self.left -= 1
                if self.left < 0:
                    raise StopAsyncIteration("foreign")
                log.append(("foreign", await trap()))
                return self.left

        class Manager:
            def __init__(self, value):
                self.value = value

            def __enter__(self):
                log.append(("enter", shown(self.value)))
                return self.value

            def __exit__(self, kind, error, traceback):
                log.append(("exit", shown(error)))
                return bool(self.value)

            async def __aenter__(self):
                await trap()
                return self.__enter__()

            async def __aexit__(self, *raised):
                await yield_("leaving")
                return self.__exit__(*raised)

        self.globals = {
            "yield_": yield_, "yield_from_": yield_from_, "note": note, "fail": fail, "tick": tick, "same": same,
            "pair": pair, "some": some, "other": other, "native": native, "ours": ours, "nested": nested,
            "foreign": Foreign, "Manager": Manager, "Holder": Holder,
        }  # fmt: skip


class Holder:
    __match_args__ = ("value",)

    def __init__(self, value):
        self.value = value

    def method(self, other):
        return (self.value, other)


def shown(value):
    """A value without addresses."""
    if isinstance(value, (list, tuple, set)):
        return [type(value).__name__, *map(shown, value)]
    if isinstance(value, dict):
        return {key: shown(one) for key, one in value.items()}
    if isinstance(value, BaseException):
        return (type(value).__name__, shown(value.args))
    return value if isinstance(value, (int, str, type(None))) else type(value).__name__


def lines(error):
    found = []
    traceback = error.__traceback__
    while traceback:
        if traceback.tb_frame.f_code.co_filename == FILE:
            found.append((traceback.tb_frame.f_code.co_name, traceback.tb_lineno))
        traceback = traceback.tb_next
    return found


def told(error, depth=0):
    """An exception, where it was raised, and what it was raised in or from."""
    if error is None or depth > 8:
        return None
    if sys.version_info < (3, 11):
        # The context of what is thrown in at the await of a delegation is lost there where that stands in a `finally` and its
        # `try` had an await of yield_(), but not where that is a real yield.
        return [*shown(error), lines(error), told(error.__cause__, depth + 1)]
    return [
        *shown(error), lines(error), told(error.__context__, depth + 1), told(error.__cause__, depth + 1),
        error.__suppress_context__,
    ]  # fmt: skip


def transcript(function, world, seed):
    """What a generator of `function` does. The operations are drawn, and do not depend on what it answers."""
    drawn = random.Random(seed)
    generator = function()
    answers = []
    ended = 0
    for _ in range(STEPS):
        kind, value = drawn.choice(["next", "next", "next", "send", "send", "throw", "close"]), drawn.randint(0, 9)
        if kind == "close" and drawn.random() < 0.7:
            kind = "next"
        thrown = drawn.choice([KeyError, TypeError, RuntimeError, GeneratorExit, StopIteration])(value)
        operation = {
            "next": generator.__anext__,
            "send": lambda value=value: generator.asend(value),
            "throw": lambda thrown=thrown: generator.athrow(thrown),
            "close": generator.aclose,
        }[kind]()
        answers.append(kind)
        answers += performed(operation, drawn)
        frame = generator.ag_frame
        answers.append(frame.f_lineno if frame and kind != "close" else None)
        ended += frame is None
        if ended > 2:
            break
    answers += performed(generator.aclose(), drawn)
    return answers, world.log


def performed(operation, drawn):
    """Drives one operation to its end, with what an event loop might answer where it awaits."""
    for _ in range(20):
        try:
            if drawn.random() < 0.85:
                yield ("awaits", shown(operation.send(None)))
            else:
                yield ("awaits", shown(operation.throw(KeyError("at the await"))))
        except StopIteration as stop:
            yield ("item", shown(stop.value))
            return
        except BaseException as error:
            yield told(error)
            return
    yield "gave up"
    operation.close()
