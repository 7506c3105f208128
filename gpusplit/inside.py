"""Runs a Python program or module with its launches split: `python inside.py [-m] PROGRAM ...`.

Run by its path, so that nothing of the command line or of the module path is left of it.  The
options come from the environment; pyopencl is only touched if the program imports it.
"""

from __future__ import annotations

import os
import runpy
import sys


def main() -> None:
    """Become the program."""
    del sys.path[0]  # this file's folder
    from gpusplit import lazily

    def install() -> None:
        from gpusplit import patch
        from gpusplit.config import WITHOUT, Config, ConfigError

        try:
            config = Config.from_environment()
        except ConfigError as error:
            print(f"gpusplit: {error}; {WITHOUT}", file=sys.stderr)
        else:
            patch.install(config)

    lazily.when_imported("pyopencl", install)
    run_program(sys.argv[1:])


def run_program(words: list[str]) -> None:
    """Run a program, or a module after -m, as Python itself would."""
    if words[0] == "-m":
        sys.argv = words[1:]
        sys.path.insert(0, os.getcwd())
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        # The folder of the program, not that of the command.
        sys.path.insert(0, os.path.dirname(os.path.realpath(words[0])))
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    main()
