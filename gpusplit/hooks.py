"""Putting functions in the place of pyopencl's."""

from __future__ import annotations

from typing import Any


def put(owner: Any, name: str, value: Any) -> Any:
    """Make *value* the attribute *name* of a class or module; returns what was there.

    Callers look attributes of pyopencl up when they call, so that this reaches all of them but
    those that imported the function itself by name before.
    """
    original = getattr(owner, name)
    if callable(value) and hasattr(value, "__dict__"):
        value.__name__ = getattr(original, "__name__", name)
        value.__doc__ = getattr(original, "__doc__", None)
    setattr(owner, name, value)
    return original


def once(owner: Any, mark: str) -> bool:
    """True the first time for *owner*: a reloaded module must not wrap its own wrappers."""
    if getattr(owner, mark, False):
        return False
    setattr(owner, mark, True)
    return True
