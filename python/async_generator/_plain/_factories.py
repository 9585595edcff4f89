"""A factory turns a call of a decorated function into a generator. What it calls to get the body is prepared on the first
call (``_function.py``), and anew after the function got other code."""

import sys
from types import AsyncGeneratorType, CodeType, CoroutineType, FunctionType
from typing import Any

from ._bodies import NativeBody
from ._boxes import INTERPRETERS_OWN
from ._environments import ISOLATED, OF_COROUTINE, coroutine_in_environment, usable_parts
from ._generators import async_generator, new_generator

_isolated: Any = None
_awaiting: Any = None
# PyPy's compiler gives up a loop in which a call has one comparison more: there the long way is the quick one.
_COMPARES = sys.implementation.name == "pypy"


def set_isolated(isolated: Any, /) -> None:
    """Called once by the package, with what makes isolated generators."""
    global _isolated
    _isolated = isolated


def set_awaiting(awaiting: Any, /) -> None:
    """Called once by the package, with what makes a native coroutine of one that cannot be driven."""
    global _awaiting
    _awaiting = awaiting


class async_generator_factory:
    """What a decorated function calls.

    Args:
        original: the user's function, as it was decorated.
        face: what the decorated function shows of it, if that is another function.
        prepare: makes of it what makes bodies: ``prepare(original, face, face_changed, replaced)``.
        shown: ignored; for a factory that the engine has pickled.
        parts: the parts of the environment of the generators.
    """

    __slots__ = (
        "__weakref__",
        "_face",
        "_has_marks",
        "_known",
        "_made",
        "_prepare",
        "_replaced",
        "original",
        "parts",
        "shown",
    )

    def __init__(self, original: Any, face: Any, prepare: Any, shown: Any = None, parts: int = 0, /) -> None:
        self.original = original
        self.parts = usable_parts(parts)
        self.shown = shown if isinstance(shown, CodeType) else None
        self._face = face if isinstance(face, FunctionType) else None
        self._prepare = prepare
        self._known = (_code_of(original), _code_of(self._face))
        self._made: Any = None  # what makes the body; None before the first call
        # Of a function with defaults the decorated one has marks (_defaults.py).
        self._has_marks = self._known[0] is not None and bool(original.__defaults__ or original.__kwdefaults__)
        self._replaced = False  # the code is not the one that was decorated any more

    def __call__(self, /, *arguments: Any, **keywords: Any) -> Any:
        function = self._made
        if function is None or self._known[0] is not None and not self._in_step():
            function = self._prepared()
        if self._has_marks:
            arguments, keywords = self._with_defaults(arguments, keywords)
        body = function(*arguments, **keywords)
        if type(body) is not CoroutineType and not _is_coroutine(body):
            body = self._as_body(body)
        if self.parts:
            return self._make_in_environment(body)
        return new_generator(body)

    def _in_step(self) -> bool:
        """Whether the code that makes bodies was made of the code that is there now. Takes over defaults that changed."""
        original, face, made = self.original, self._face, self._made
        if original.__code__ is not self._known[0] or face is not None and face.__code__ is not self._known[1]:
            return False
        if (
            original.__defaults__ is not made.__defaults__
            or original.__kwdefaults__ is not made.__kwdefaults__
            or face is not None
            and (
                _COMPARES
                or face.__defaults__ is not made.__defaults__
                or face.__kwdefaults__ is not made.__kwdefaults__
            )
        ):
            self._take_over_defaults()
        return True

    def _prepared(self) -> Any:
        original, face = self.original, self._face
        known = (_code_of(original), _code_of(face))
        if not INTERPRETERS_OWN and not self.parts & OF_COROUTINE:
            self._made = original
            return original
        changed = known[1] is not self._known[1]
        self._replaced = self._replaced or changed or known[0] is not self._known[0]
        made = self._prepare(original, face, changed, self._replaced)[0]
        self._known = (_code_of(original), _code_of(face))  # the preparation gives both the same code
        self._made = made
        return made

    def _take_over_defaults(self) -> None:
        """Give what makes bodies, and the face, the defaults that the original has now; or, where only the face's were
        changed, those."""
        original, face, made = self.original, self._face, self._made
        if made is original:
            return
        before = _defaults_of(made)
        now, shown = _defaults_of(original), _defaults_of(original if face is None else face)
        if _same(now, before) and _same(shown, before):
            return
        by_face = face is not None and _same(now, before)
        given = shown if by_face else now
        for one in (original, face, made):
            if one is not None and not _same(_defaults_of(one), given):
                one.__defaults__, one.__kwdefaults__ = given

    def _with_defaults(self, arguments: Any, keywords: Any) -> Any:
        """The present defaults of the original in place of the marks, which are this class (_defaults.py)."""
        cls = async_generator_factory
        if not any(one is cls for one in (*arguments, *keywords.values())):
            return arguments, keywords
        code = self.original.__code__
        defaults = self.original.__defaults__ or ()
        first = code.co_argcount - len(defaults)
        by_keyword = self.original.__kwdefaults__ or {}
        try:
            filled = tuple(defaults[_index(i - first)] if one is cls else one for i, one in enumerate(arguments))
            return filled, {name: by_keyword[name] if one is cls else one for name, one in keywords.items()}
        except LookupError:
            raise TypeError(f"{self.original!r} is called without an argument whose default was taken away") from None

    def _as_body(self, result: Any) -> Any:
        if type(result) is AsyncGeneratorType and not INTERPRETERS_OWN:
            return NativeBody(result)
        original = self.original
        if type(result) is async_generator:
            raise TypeError(
                f"{original!r} returned a generator of @async_generator: decorate the async generator function only, not "
                "what calls it"
            )
        if hasattr(result, "__aenter__"):
            raise TypeError(
                f"{original!r} returned a context manager: write @asynccontextmanager on top of @async_generator, not "
                "below it"
            )
        if type(result) is AsyncGeneratorType:
            raise TypeError(
                f"{original!r} returned a native async generator: decorate the async generator function itself, or leave "
                "the decorator out"
            )
        if all(hasattr(result, name) for name in ("send", "throw", "close", "__await__")):
            return _awaiting(original, result)
        raise TypeError(
            f"{original!r} returned {type(result).__name__:.100}, not a coroutine: @async_generator goes on an `async def` "
            "function"
        )

    def _make_in_environment(self, body: Any) -> Any:
        body = coroutine_in_environment(body, self.parts)
        if self.parts & OF_COROUTINE:
            return body
        generator = new_generator(body)
        return _isolated(generator) if self.parts & ISOLATED else generator

    def __reduce__(self) -> Any:
        return factory, (self.original, self._face, self._prepare, self.shown, self.parts)


#: Makes one, as ``_engine.factory()`` does. Pickles refer to it by this name.
factory = async_generator_factory


def _index(position: int) -> int:
    if position < 0:
        raise IndexError
    return position


def _defaults_of(function: FunctionType) -> tuple[Any, Any]:
    return function.__defaults__, function.__kwdefaults__


def _same(one: tuple[Any, Any], other: tuple[Any, Any]) -> bool:
    return one[0] is other[0] and one[1] is other[1]


def _code_of(function: Any) -> Any:
    return function.__code__ if isinstance(function, FunctionType) else None


def _is_coroutine(body: Any) -> bool:
    """Whether a body can be driven: it has a coroutine's methods and attributes."""
    return all(hasattr(body, name) for name in ("send", "throw", "close", "__await__", "cr_await", "cr_frame"))


def bind(function: Any, /) -> Any:
    """The engine gives a function another entry point. Here its code calls the factory."""
    if not isinstance(function, FunctionType) or not function.__closure__:
        raise TypeError("bind() takes a function whose last closure cell holds a factory")
    return function
