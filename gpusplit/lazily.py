"""Doing something as soon as a module has been imported, whoever imports it, and not before."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing's own is the same, and takes every program's start longer
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


def when_imported(name: str, act: Callable[[], object]) -> None:
    """Call *act* once the module *name* is there: now, or after its import."""
    if name in sys.modules:
        act()
    else:
        finder: Any = _Finder(name, act)
        sys.meta_path.insert(0, finder)


class _Finder:
    """Finds one module as the others would, and loads it so that *act* is called after."""

    def __init__(self, name: str, act: Callable[[], object]) -> None:
        self._name = name
        self._act = act

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        finders: list[Any] = sys.meta_path
        if fullname != self._name or self not in finders:
            return None
        finders.remove(self)
        import importlib.util

        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            # Perhaps it is there the next time.
            when_imported(fullname, self._act)
            return None
        loader: Any = _Loader(spec.loader, self._act)
        spec.loader = loader
        return spec


class _Loader:
    """A module's own loader, with *act* after it."""

    def __init__(self, loader: Any, act: Callable[[], object]) -> None:
        self._loader = loader
        self._act = act

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        # What asks the module for its loader (resources, inspect) is to find the real one.
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._act()
