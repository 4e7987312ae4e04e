#!/usr/bin/env python3
"""Writes a C++ source that holds a file's bytes: embed.py INPUT OUTPUT."""

import sys


def main():
    source, target = sys.argv[1:]
    with open(source, 'rb') as file:
        data = file.read()
    rows = [', '.join(str(byte) for byte in data[i:i + 24]) for i in range(0, len(data), 24)]
    with open(target, 'w', encoding='ascii') as file:
        file.write('// Generated from page.html by embed.py.\n'
                   '#include "tools/ringmaster/demo/page.h"\n\n'
                   'namespace ringmaster::demo {\nnamespace {\n\n'
                   # An array, not a string literal: those have a portable length of 64 KiB.
                   'constexpr unsigned char kPage[] = {\n    ' + ',\n    '.join(rows) + '};\n\n'
                   '}  // namespace\n\n'
                   'std::string_view Page() {\n'
                   '  return {reinterpret_cast<const char*>(kPage), sizeof(kPage)};\n'
                   '}\n\n'
                   '}  // namespace ringmaster::demo\n')


if __name__ == '__main__':
    main()
