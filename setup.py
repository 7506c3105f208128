"""Builds the native library along with the package; everything else is in pyproject.toml.

A C compiler is all that it needs.  Without one the package is installed without the library, and
`gpusplit run` and `gpusplit.install()` say what is missing.
"""

import subprocess
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
NATIVE = "gpusplit/native"


class Build(build_py):
    """The package's files, and the library beside them."""

    def run(self) -> None:
        """Build; in the source tree where that is what is installed."""
        super().run()
        out = HERE if self.editable_mode else Path(self.build_lib)
        folder = out.resolve() / NATIVE
        folder.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(
                ["make", "-s", "-C", HERE / NATIVE, f"OUT={folder}"], check=True, timeout=600
            )
        except (OSError, subprocess.SubprocessError) as error:
            print(
                f"gpusplit: installed without its native library ({error}): it can only plan and "
                "watch. Install a C compiler and make, then gpusplit again.",
                file=sys.stderr,
            )


class Wheel(bdist_wheel):
    """A wheel for every Python of this platform: the library knows nothing of Python."""

    def get_tag(self) -> tuple[str, str, str]:
        """Python, ABI and platform."""
        return "py3", "none", super().get_tag()[2]


class WithLibrary(Distribution):
    """A distribution for one platform."""

    def has_ext_modules(self) -> bool:
        """Say that there is something native."""
        return True


setup(cmdclass={"build_py": Build, "bdist_wheel": Wheel}, distclass=WithLibrary)
