"""`ringmaster doctor` on this machine, as a user and as a program reads it."""

import errno
import json
import pathlib

import running_server
import seccomp_filter
from tap import Cases, Skip, expect

LEVELS = ("ok", "note", "warning", "error")


def doctor(*arguments, **options):
    return running_server.run(running_server.BINARY, "doctor", *arguments, **options)


def prints_json():
    result = doctor("--json")
    report = json.loads(result.stdout)
    expect(result.returncode == (1 if report["errors"] else 0), result)
    for level, count in zip(LEVELS, ("ok", "notes", "warnings", "errors")):
        expect(sum(finding["level"] == level for finding in report["findings"]) == report[count], report)
    for finding in report["findings"]:
        expect(finding["level"] in LEVELS and finding["found"], finding)
        expect((finding["level"] == "ok") == (not finding["why"]) == (not finding["remedy"]), finding)


def prints_for_people():
    result = doctor()
    lines = result.stdout.splitlines()
    expect(max(len(line) for line in lines) <= 96, lines)
    expect("\x1b" not in result.stdout, "colour although this is no terminal")
    expect(lines[-1].endswith(" ok") and "warning" in lines[-1], lines[-1])
    expect(not result.stderr, result.stderr)


def level_of(report, wanted):
    return {finding["id"]: finding for finding in report["findings"]}[wanted]


def reads_the_configuration():
    with running_server.scratch_directory() as directory:
        file = running_server.configuration(
            directory,
            listeners=[{"address": "127.0.0.1:0", "backlog": 65535}],
            logging={"file": str(directory / "missing/log")},
        )
        # `check` would refuse the log's directory; who examines a machine wants to hear all of it at once.
        result = doctor("--json", file)
        report = json.loads(result.stdout)
        somaxconn = int(pathlib.Path("/proc/sys/net/core/somaxconn").read_text())
        finding = level_of(report, "sysctl.somaxconn")
        expect(finding["level"] == ("warning" if somaxconn < 65535 else "ok"), finding)
        expect("65535" in finding["found"], finding)
        expect(level_of(report, "files.log")["level"] == "error" and result.returncode == 1, report)


def sees_that_io_uring_is_refused():
    if seccomp_filter.library() is None:
        raise Skip("libseccomp is not installed")
    calls = seccomp_filter.Filter(seccomp_filter.ALLOW)
    calls.add(seccomp_filter.errno_action(errno.EPERM), "io_uring_setup")
    result = doctor("--json", preexec_fn=calls.load)
    ring = level_of(json.loads(result.stdout), "io_uring.ring")
    expect(ring["level"] == "error" and result.returncode == 1, result)
    expect("seccomp" in ring["remedy"], ring)
    expect(level_of(json.loads(result.stdout), "sandbox.filter")["level"] == "ok", result)


def refuses_wrong_usage():
    result = doctor("--watch")
    expect(result.returncode == 2 and "--watch" in result.stderr, result)


def main():
    with Cases() as cases:
        cases.run("prints JSON for programs, its counts those of the findings", prints_json)
        cases.run("prints lines of a terminal's width for people, a summary last", prints_for_people)
        cases.run("holds the machine against the configuration", reads_the_configuration)
        cases.run("says so where io_uring is refused", sees_that_io_uring_is_refused)
        cases.run("refuses wrong usage with status 2", refuses_wrong_usage)


if __name__ == "__main__":
    main()
