"""The hooks of a structured body: it closes the generators that it has iterated and drops.

Generators refer to their finalizers, and these to the hooks: so the hooks refer to no body.
"""

import sys
import threading
from sys import get_asyncgen_hooks, set_asyncgen_hooks
from typing import Any

from ._generators import async_generator
from ._operations import close_at_once


class StructuredHooks:
    """The hooks of a structured body; called, it is their firstiter hook."""

    def __init__(self) -> None:
        self._outer: Any = (None, None)  # the thread's outside the body: they get what is dropped elsewhere
        self._iterated = 0  # how many generators were first iterated
        self._dropped: list[tuple[int, Any]] = []  # to be closed
        self._thread: int | None = None  # whose hooks they are; None while the body is not resumed

    # Entered and left around each resumption.

    def enter(self) -> None:
        self._outer = tuple(get_asyncgen_hooks())
        self._thread = threading.get_ident()
        set_asyncgen_hooks(self, _Finalizer(self, self._iterated))

    def leave(self) -> None:
        self._thread = None
        inner: Any = get_asyncgen_hooks().firstiter
        if inner is self:
            set_asyncgen_hooks(*self._outer)
            return
        # Others are the thread's. Either the body has set them for good. Or greenlets end their resumptions in any order:
        # then the hooks that were entered after these restore what these would have restored.
        while isinstance(inner, StructuredHooks):
            if inner._outer[0] is self:
                inner._outer = self._outer
                return
            inner = inner._outer[0]

    def __call__(self, generator: Any) -> None:
        """A generator is first iterated. It has got the present finalizer; the next one gets another, so that the one
        first iterated last is closed first, as nested blocks would."""
        present: Any = get_asyncgen_hooks().firstiter
        if self._thread == threading.get_ident() and present is self:
            self._iterated += 1
            set_asyncgen_hooks(self, _Finalizer(self, self._iterated))
        outer = self._outer[0]
        if outer is not None:
            outer(generator)

    # What was dropped.

    def drop(self, generator: Any, number: int) -> None:
        if self._thread == threading.get_ident():
            self._dropped.append((number, generator))
        else:
            self._hand_out(generator)

    @property
    def has_dropped(self) -> bool:
        return bool(self._dropped)

    def take_dropped(self) -> Any:
        """The one that was first iterated last, or None."""
        if not self._dropped:
            return None
        last = max(self._dropped, key=lambda one: one[0])
        self._dropped.remove(last)
        return last[1]

    def hand_out_dropped(self) -> None:
        """Give all of them to the thread's hooks outside, as if they were dropped there."""
        while (generator := self.take_dropped()) is not None:
            try:
                self._hand_out(generator)
            except BaseException as error:
                report_unraisable(error, generator)

    def _hand_out(self, generator: Any) -> None:
        finalizer = self._outer[1]
        if finalizer is not None:
            finalizer(generator)
        else:
            close_without_hooks(generator)


class _Finalizer:
    """The finalizer of one generator."""

    def __init__(self, hooks: StructuredHooks, number: int) -> None:
        self._hooks = hooks
        self._number = number

    def __call__(self, generator: Any) -> None:
        self._hooks.drop(generator, self._number)


def close_without_hooks(generator: Any) -> None:
    """What native does with a generator that is dropped on a thread without hooks: one step, without a loop."""
    if type(generator) is async_generator:
        close_at_once(generator)
        return
    try:
        generator.aclose().__await__().send(None)
    except StopIteration:
        return
    raise RuntimeError("async generator ignored GeneratorExit")


def outside(function: Any, /, *arguments: Any) -> Any:
    """Call a function with the hooks that the thread has outside all structured bodies."""
    before = get_asyncgen_hooks()
    hooks = before
    while isinstance(hooks[0], StructuredHooks):
        hooks = hooks[0]._outer
    set_asyncgen_hooks(*hooks)
    try:
        return function(*arguments)
    finally:
        set_asyncgen_hooks(*before)


class _Report:
    """What ``sys.unraisablehook`` takes."""

    err_msg = None

    def __init__(self, error: BaseException, culprit: Any) -> None:
        self.exc_type = type(error)
        self.exc_value = error
        self.exc_traceback = error.__traceback__
        self.object = culprit


def report_unraisable(error: BaseException, culprit: Any) -> None:
    """Tell of an exception that cannot be raised."""
    sys.unraisablehook(_Report(error, culprit))  # type: ignore[arg-type]
