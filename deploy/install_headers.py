"""Installs the headers of <ringmaster/...> and whatever they include: install_headers.py SOURCE_ROOT INCLUDE_DIRECTORY.

Meson runs it on `meson install`. The list is made then, from the #include lines, so that no list has to be kept.
"""

import os
import pathlib
import re
import shutil
import sys

PUBLIC = ("engine/public", "protocols/public")
_INCLUDE = re.compile(r'^\s*#\s*include\s*"((?:engine|protocols)/[^"]+)"', re.MULTILINE)


def closure(root, headers):
    """`headers` and all that they include, as paths relative to `root`."""
    found = set()
    waiting = list(headers)
    while waiting:
        header = waiting.pop()
        if header in found:
            continue
        found.add(header)
        # A header that is not there is a mistake: whoever includes the installed one could not compile.
        waiting += _INCLUDE.findall((root / header).read_text())
    return found


def main():
    root = pathlib.Path(sys.argv[1])
    prefix = pathlib.Path(os.environ["MESON_INSTALL_DESTDIR_PREFIX"])
    target = prefix / sys.argv[2]
    public = []
    for folder in PUBLIC:
        for header in sorted((root / folder / "ringmaster").glob("*.h")):
            public.append(f"{folder}/ringmaster/{header.name}")
    for header in closure(root, public):
        name = header
        for folder in PUBLIC:
            name = name.removeprefix(folder + "/")
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / header, target / name)
        (target / name).chmod(0o644)


if __name__ == "__main__":
    main()
