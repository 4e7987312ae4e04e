#!/usr/bin/env python3
"""Writes a C++ source that holds an HTML page: embed_page.py INPUT OUTPUT HEADER FUNCTION [POLICY_FUNCTION]

FUNCTION ("ringmaster::demo::Page", declared in HEADER) returns the page as one document: style sheets and scripts that it
names as files beside it are put in their places. POLICY_FUNCTION returns a Content-Security-Policy under which exactly
these styles and scripts run, by their hashes, and nothing else is loaded.
"""

import base64
import hashlib
import pathlib
import re
import sys

_STYLE_FILE = re.compile(r'<link rel="stylesheet" href="([\w.]+)">')
_SCRIPT_FILE = re.compile(r'<script src="([\w.]+)"></script>')


def inline(page, folder):
    """Puts the files that `page` names into it."""

    def put(element, match):
        text = (folder / match.group(1)).read_text(encoding='utf-8')
        if '</' + element in text:
            sys.exit(f'{match.group(1)}: "</{element}" would end the element')
        return f'<{element}>\n{text}</{element}>'

    page = _STYLE_FILE.sub(lambda match: put('style', match), page)
    return _SCRIPT_FILE.sub(lambda match: put('script', match), page)


def policy(page):
    """Content Security Policy Level 3: the page's own elements by hash, its own server, a data: icon."""

    def hashes(element):
        contents = re.findall(rf'<{element}>(.*?)</{element}>', page, re.DOTALL)
        digests = (hashlib.sha256(content.encode('utf-8')).digest() for content in contents)
        return ' '.join(f"'sha256-{base64.b64encode(digest).decode('ascii')}'" for digest in digests)

    return ("default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
            f"frame-ancestors 'none'; style-src {hashes('style')}; script-src {hashes('script')}")


def function(name, array, data):
    """A function that returns `data`."""
    # An array, not a string literal: those have a portable length of 64 KiB.
    rows = [', '.join(str(byte) for byte in data[i:i + 24]) for i in range(0, len(data), 24)]
    return (f'namespace {{\nconstexpr unsigned char {array}[] = {{\n    ' + ',\n    '.join(rows) + '};\n}  // namespace\n\n'
            f'std::string_view {name}() {{\n'
            f'  return {{reinterpret_cast<const char*>({array}), sizeof({array})}};\n'
            '}\n')


def main():
    source, target, header, page_function, *policy_function = sys.argv[1:]
    source = pathlib.Path(source)
    page = inline(source.read_text(encoding='utf-8'), source.parent)
    space, _, name = page_function.rpartition('::')
    parts = [function(name, 'kPage', page.encode('utf-8'))]
    if policy_function:
        parts.append(function(policy_function[0].rpartition('::')[2], 'kPolicy', policy(page).encode('ascii')))
    pathlib.Path(target).write_text(
        f'// Generated from {source.name} by embed_page.py.\n#include "{header}"\n\n'
        f'namespace {space} {{\n' + '\n'.join(parts) + f'\n}}  // namespace {space}\n', encoding='ascii')


if __name__ == '__main__':
    main()
