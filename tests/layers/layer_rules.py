"""The rules of the house, as functions over one file's path and text. A rule yields (line number, reason).

tools → protocols/*/service → engine; codecs depend on neither (ARCHITECTURE.md). Paths are relative to the root and
use "/".
"""

import re

FILE_LINES_MAX = 600

_INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
_PROTOCOL_NAME = re.compile(r"http|web_?socket", re.IGNORECASE)
_STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)


def _includes(text):
    for number, line in enumerate(text.split("\n"), start=1):
        match = _INCLUDE.match(line)
        if match:
            yield number, match.group(1)


def _without_comments(text):
    """Blanks comments out and keeps line numbers; a "//" inside a string is no comment."""

    def blank(match):
        found = match.group(0)
        return found if found.startswith('"') else re.sub(r"[^\n]", " ", found)

    return _STRING_OR_COMMENT.sub(blank, text)


def _is_in(path, *folders):
    return any(path.startswith(folder + "/") for folder in folders)


def engine_stands_alone(path, text):
    if not _is_in(path, "engine"):
        return
    for number, name in _includes(text):
        if _is_in(name, "protocols", "tools", "tests", "bench"):
            yield number, f"engine/ must not include {name}"
    for number, line in enumerate(_without_comments(text).split("\n"), start=1):
        if _PROTOCOL_NAME.search(line):
            yield number, "engine/ names a protocol: " + line.strip()


def codecs_are_pure(path, text):
    if not re.match(r"protocols/[^/]+/codec/", path):
        return
    room = path.split("/")[1]
    for number, name in _includes(text):
        if _is_in(name, "engine", "tools", "protocols/" + room + "/service") or "/service/" in name:
            yield number, f"a codec must not include {name}"
        elif name.startswith(("liburing", "sys/socket", "sys/epoll", "netinet/", "spdlog/")) or name in (
            "unistd.h",
            "thread",
            "fcntl.h",
        ):
            yield number, f"a codec is pure bytes; it must not include <{name}>"


def protocols_do_not_use_tools(path, text):
    if not _is_in(path, "protocols"):
        return
    for number, name in _includes(text):
        if _is_in(name, "tools", "tests", "bench"):
            yield number, f"protocols/ must not include {name}"


def only_the_ring_knows_liburing(path, text):
    if not _is_in(path, "engine", "protocols", "tools") or _is_in(path, "engine/ring"):
        return
    for number, name in _includes(text):
        if name.startswith("liburing") or name == "linux/io_uring.h":
            yield number, f"only engine/ring includes {name}"


def files_are_small(path, text):
    lines = text.count("\n")
    if lines > FILE_LINES_MAX:
        yield lines, f"{lines} lines; at most {FILE_LINES_MAX}: look for a second idea in it"


RULES = (
    engine_stands_alone,
    codecs_are_pure,
    protocols_do_not_use_tools,
    only_the_ring_knows_liburing,
    files_are_small,
)


def violations(path, text):
    """All violations of one file, as "path:line: reason" strings."""
    for rule in RULES:
        for number, reason in rule(path, text):
            yield f"{path}:{number}: {reason}"
