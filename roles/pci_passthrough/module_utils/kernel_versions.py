"""Which of several kernels GRUB takes."""

from __future__ import annotations

import re


def by_version(name: str) -> tuple[list[int], str]:
    """Orders kernels, or their files: by their numbers, those of the same ones by letters, as GRUB
    does (6.1.0-28-cloud-amd64 goes before 6.1.0-28-amd64).
    """
    return [*map(int, re.findall(r"\d+", name))], name
