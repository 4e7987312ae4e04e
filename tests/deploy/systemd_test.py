"""The units of deploy/systemd: sound for systemd, tight enough by its own judgement, and not so tight that the server
does not run. What a unit's filter permits is tried on the server itself, without systemd, which does not run here."""

import errno
import json
import re
import shutil
import socket
import subprocess

import running_server
import seccomp_filter
from tap import Cases, Skip, expect

UNITS = running_server.ROOT / "deploy/systemd"
EXPOSURE_MAX = 30  # systemd-analyze's --threshold=, in tenths
SERVICES = ("ringmaster.service", "ringmaster@.service")


def assignments(unit):
    """(name, value) of every line, in order."""
    found = []
    for line in (UNITS / unit).read_text().splitlines():
        if line and line[0] not in "#[":
            name, value = line.split("=", 1)
            found.append((name, value))
    return found


def value_of(unit, wanted):
    values = [value for name, value in assignments(unit) if name == wanted]
    expect(len(values) == 1, unit, wanted, values)
    return values[0]


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(ms|s|min|)", text).groups()
    return int(number) * {"ms": 0.001, "s": 1, "": 1, "min": 60}[unit]


def analyze(*arguments):
    return running_server.run("systemd-analyze", *arguments)


# Verifying asks whether the program is there; here it is the one that was built.
def copy_units(directory):
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/usr/bin/ringmaster", str(running_server.BINARY))
        (directory / unit.name).write_text(text)


def verify(unit):
    with running_server.scratch_directory() as directory:
        copy_units(directory)
        file = directory / unit
        if "@" in unit:
            file = file.rename(directory / unit.replace("@", "@game"))
        result = analyze("verify", "--man=no", "--recursive-errors=no", file)
        # An unknown key is only a warning for systemd, and lost.
        expect(result.returncode == 0 and not result.stderr, result)


def verify_notices_mistakes():
    with running_server.scratch_directory() as directory:
        copy_units(directory)
        unit = directory / "ringmaster.service"
        unit.write_text(unit.read_text().replace("WatchdogSec=", "WatchdogSeconds="))
        result = analyze("verify", "--man=no", "--recursive-errors=no", unit)
        expect("WatchdogSeconds" in result.stderr, result)


def exposure(unit, threshold, fits):
    result = analyze("security", "--offline=true", "--no-pager", f"--threshold={threshold}", UNITS / unit)
    expect((result.returncode == 0) == fits, result.stdout, result.stderr)


def every_line_has_a_reason(unit):
    explained = False
    section = ""
    for number, line in enumerate((UNITS / unit).read_text().splitlines(), start=1):
        if line.startswith("["):
            section = line
        elif line.startswith("#"):
            explained = True
        elif not line:
            explained = False
        elif section in ("[Service]", "[Socket]"):
            expect(explained, f"{unit}:{number}: no comment says why: {line}")


def template_is_the_service():
    def canonical(unit):
        lines = []
        for name, value in assignments(unit):
            for specific, general in (
                ("%i.json", "ringmaster.json"),
                ("%i.environment", "environment"),
                ("ringmaster-%i", "ringmaster"),
                ("ringmaster/%i", "ringmaster"),
                ("server %i", "server"),
            ):
                value = value.replace(specific, general)
            lines.append((name, value))
        return lines

    service, template = (canonical(unit) for unit in SERVICES)
    expect(service == template, set(service) ^ set(template))


def stop_timeout_fits(unit):
    schema = json.loads((running_server.ROOT / "deploy/ringmaster.schema.json").read_text())
    stop_timeout = seconds(schema["properties"]["stop_timeout"]["default"])
    # Two seconds for those that are told to leave at once (Master::kStopNowTimeout), then SIGKILL.
    expect(seconds(value_of(unit, "TimeoutStopSec")) > stop_timeout + 2)


def allowed_calls(unit):  # container_test.py asks for it, too
    sets = {}
    for line in analyze("syscall-filter", "--no-pager").stdout.splitlines():
        if line.startswith("@"):
            current = sets.setdefault(line.strip(), [])
        elif line.strip() and not line.strip().startswith("#"):
            current.append(line.strip())

    def expand(name):
        return set().union(*(expand(inner) for inner in sets[name])) if name in sets else {name}

    # systemd always permits what is in @default (systemd.exec(5)).
    allowed = expand("@default")
    for value in (value for name, value in assignments(unit) if name == "SystemCallFilter"):
        calls = set().union(*(expand(name) for name in value.lstrip("~").split()))
        allowed = allowed - calls if value.startswith("~") else allowed | calls
    return allowed


# The filters that systemd makes of SystemCallFilter=, MemoryDenyWriteExecute= and RestrictAddressFamilies=.
def filter_of(unit):
    refuse = seccomp_filter.errno_action(errno.EPERM)
    calls = seccomp_filter.Filter(refuse)
    for call in allowed_calls(unit):
        calls.add(seccomp_filter.ALLOW, call)
    further = seccomp_filter.Filter(seccomp_filter.ALLOW)
    prot_write, prot_exec = 2, 4
    both = prot_write | prot_exec
    further.add(refuse, "mmap", [(2, "SCMP_CMP_MASKED_EQ", both, both)])
    further.add(refuse, "mprotect", [(2, "SCMP_CMP_MASKED_EQ", prot_exec, prot_exec)])
    families = value_of(unit, "RestrictAddressFamilies").split()
    allowed = {int(getattr(socket, family)) for family in families}
    for family in set(range(46)) - allowed:
        further.add(refuse, "socket", [(0, "SCMP_CMP_EQ", family, 0)])
    return calls, further


def load(filters):
    calls, further = filters
    further.load()
    calls.load()


def serves_under_the_filter(unit):
    if seccomp_filter.library() is None:
        raise Skip("libseccomp is not installed")
    filters = filter_of(unit)
    with running_server.scratch_directory() as directory:
        file = running_server.configuration(directory)
        running_server.expect_served(running_server.BINARY, file, before_exec=lambda: load(filters))


def filter_refuses(unit):
    if seccomp_filter.library() is None:
        raise Skip("libseccomp is not installed")
    filters = filter_of(unit)
    for program in (
        "import os; os.chroot('/')",
        "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)",
        "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)",
    ):
        result = running_server.run("python3", "-c", program, preexec_fn=lambda: load(filters))
        expect(result.returncode == 1 and "PermissionError" in result.stderr, program, result)


def without_io_uring(unit):
    """The filter without the unit's line for io_uring: the server must say what is wrong, not hang or crash."""
    if seccomp_filter.library() is None:
        raise Skip("libseccomp is not installed")
    calls = seccomp_filter.Filter(seccomp_filter.errno_action(errno.EPERM))
    for call in allowed_calls(unit):
        if not call.startswith("io_uring"):
            calls.add(seccomp_filter.ALLOW, call)
    with running_server.scratch_directory() as directory:
        file = running_server.configuration(directory)
        result = running_server.run(running_server.BINARY, "start", file, preexec_fn=calls.load)
        expect(result.returncode == 1 and "io_uring_setup" in result.stdout + result.stderr, result)


def main():
    if shutil.which("systemd-analyze") is None:
        print("1..0 # SKIP systemd-analyze is not installed (Debian: systemd)")
        return
    with Cases() as cases:
        for unit in sorted(file.name for file in UNITS.iterdir()):
            cases.run(f"{unit} is sound for systemd", verify, unit)
            cases.run(f"{unit} says why for each of its lines", every_line_has_a_reason, unit)
        cases.run("a misspelt key would be noticed", verify_notices_mistakes)
        for unit in SERVICES:
            cases.run(f"{unit} has an exposure of 3.0 at most", exposure, unit, EXPOSURE_MAX, True)
            cases.run(f"{unit} stops its server later than the server itself", stop_timeout_fits, unit)
        cases.run("an exposure above the threshold would be noticed", exposure, SERVICES[0], 5, False)
        cases.run("the template is the service but for the instance's name", template_is_the_service)
        cases.run("the server serves under the unit's filters", serves_under_the_filter, SERVICES[0])
        cases.run("the unit's filters refuse what a server does not do", filter_refuses, SERVICES[0])
        cases.run("without io_uring the start says so", without_io_uring, SERVICES[0])


if __name__ == "__main__":
    main()
