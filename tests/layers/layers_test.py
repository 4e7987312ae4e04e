"""Applies layer_rules.py to the tree, and to examples that must be refused: a rule that finds nothing in a bad example
would find nothing anywhere. Prints TAP."""

import pathlib
import sys

import layer_rules

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("engine", "protocols", "tools", "tests", "bench")

# (description, path, text, number of violations)
EXAMPLES = (
    ("engine includes a protocol", "engine/a.cc", '#include "protocols/http/codec/request_head.h"\n', 2),
    ("engine names a protocol in code", "engine/a.h", "void SendHttpError();\n", 1),
    ("engine names a protocol in a string", "engine/a.h", 'auto x = "websocket";\n', 1),
    ("engine may name one in a comment", "engine/a.h", "// See protocols/websocket/service.\n", 0),
    ("a slash pair inside a string starts no comment", "engine/a.cc", 'auto x = "a//"; int http;\n', 1),
    ("a block comment is a comment", "engine/a.cc", "/* as\n http does */ int x;\n", 0),
    ("a codec includes the engine", "protocols/http/codec/a.cc", '#include "engine/base/time.h"\n', 1),
    ("a codec includes sockets", "protocols/http/codec/a.cc", "#include <sys/socket.h>\n", 1),
    ("a codec includes its service", "protocols/http/codec/a.h", '#include "protocols/http/service/a.h"\n', 1),
    ("a service may include the engine", "protocols/http/service/a.h", '#include "engine/protocol.h"\n', 0),
    ("a service includes liburing", "protocols/http/service/a.h", "#include <liburing.h>\n", 1),
    ("the ring may include liburing", "engine/ring/a.cc", "#include <liburing.h>\n", 0),
    ("the worker may not", "engine/worker/a.cc", "#include <liburing.h>\n", 1),
    ("a protocol includes a tool", "protocols/http/service/a.cc", '#include "tools/ringmaster/a.h"\n', 1),
    ("a file is too long", "tests/a.cc", "\n" * (layer_rules.FILE_LINES_MAX + 1), 1),
)


def tracked_sources():
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".cc", ".h", ".mjs", ".py") and "node_modules" not in path.parts:
                yield path


def main():
    results = []
    for description, path, text, expected in EXAMPLES:
        found = list(layer_rules.violations(path, text))
        results.append((len(found) == expected, f"example: {description}", found))

    for folder in FOLDERS:
        found = []
        for path in tracked_sources():
            name = path.relative_to(ROOT).as_posix()
            if name.startswith(folder + "/"):
                found += layer_rules.violations(name, path.read_text(encoding="utf-8"))
        results.append((not found, f"the rules hold in {folder}/", found))

    # The README's first program is the one that is compiled.
    program = (ROOT / "tools/examples/game.cc").read_text(encoding="utf-8")
    shown = program[program.index("#include") :] in (ROOT / "README.md").read_text(encoding="utf-8")
    results.append((shown, "the README shows tools/examples/game.cc as it is", ["they differ"]))

    print(f"1..{len(results)}")
    for number, (passed, description, found) in enumerate(results, start=1):
        print(f"{'ok' if passed else 'not ok'} {number} - {description}")
        for line in found if not passed else ():
            print(f"# {line}", flush=True)
    return 0 if all(passed for passed, _, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
