"""Keeps compiled what Ansible sends with each call, as a zip file that Python compiles each time.

These are 11,000 lines, and zipimport compiles them twice, once to say a module's file name: an
emulated CPU takes seconds for that. Kept by the sum of the source, so what is another now is
compiled; what is not found, or cannot be kept, is compiled, too.
"""

import functools
import hashlib
import marshal
import os
import sys
import zipimport

FOLDER = f"/var/cache/ansible-zip-memory/{sys.implementation.cache_tag}"

compile_source = zipimport._compile_source


def keep(kept, code):
    try:
        os.makedirs(FOLDER, mode=0o700, exist_ok=True)
        partial = f"{kept}.{os.getpid()}"
        with open(partial, "wb") as file:
            marshal.dump(code, file)
        os.replace(partial, kept)
    except OSError:
        pass  # a user who may not, or a full disk


def remembered(path, source):
    kept = f"{FOLDER}/{hashlib.sha256(source).hexdigest()}"
    try:
        with open(kept, "rb") as file:
            return marshal.load(file)
    except (OSError, EOFError, ValueError, TypeError):
        code = compile_source(path, source)
        keep(kept, code)
        return code


zipimport._compile_source = remembered
zipimport._get_module_code = functools.cache(zipimport._get_module_code)
