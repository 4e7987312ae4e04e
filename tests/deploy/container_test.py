"""deploy/container: the seccomp profile, tried by libseccomp on the server itself, and the image's description held to
what is built. No container engine is wanted here, and none is tried."""

import errno
import json
import re
import shutil
import subprocess

import running_server
import seccomp_filter
from tap import Cases, Skip, expect

CONTAINER = running_server.ROOT / "deploy/container"
PROFILE = CONTAINER / "seccomp.json"

# OCI runtime specification, config-linux.md, "Seccomp": name of the member and its type.
_PROFILE_MEMBERS = {"defaultAction": str, "defaultErrnoRet": int, "architectures": list, "syscalls": list}
_CALL_MEMBERS = {"names": list, "action": str, "errnoRet": int, "args": list}
_ARGUMENT_MEMBERS = {"index": int, "value": int, "valueTwo": int, "op": str}
_OPERATIONS = {"NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"}


def profile():
    return json.loads(PROFILE.read_text())


def check_members(value, members, required):
    for name, member in value.items():
        expect(name in members and isinstance(member, members[name]), name, member)
    expect(set(required) <= set(value), value)


def profile_has_the_specified_shape():
    check_members(profile(), _PROFILE_MEMBERS, ["defaultAction", "syscalls"])
    for architecture in profile()["architectures"]:
        expect(re.fullmatch(r"SCMP_ARCH_[A-Z0-9_]+", architecture), architecture)
    for call in profile()["syscalls"]:
        check_members(call, _CALL_MEMBERS, ["names", "action"])
        expect(call["names"] and all(isinstance(name, str) for name in call["names"]), call)
        expect(call["action"] in ("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO"), call)
        for argument in call.get("args", []):
            check_members(argument, _ARGUMENT_MEMBERS, ["index", "value", "op"])
            expect(argument["op"].removeprefix("SCMP_CMP_") in _OPERATIONS, argument)


def require_libseccomp():
    if seccomp_filter.library() is None:
        raise Skip("libseccomp is not installed")


def action_of(call):
    if call["action"] == "SCMP_ACT_ALLOW":
        return seccomp_filter.ALLOW
    return seccomp_filter.errno_action(call.get("errnoRet", errno.EPERM))


def as_filter(without=()):
    content = profile()
    calls = seccomp_filter.Filter(seccomp_filter.errno_action(content["defaultErrnoRet"]))
    for call in content["syscalls"]:
        arguments = [(a["index"], a["op"], a["value"], a.get("valueTwo", 0)) for a in call.get("args", [])]
        for name in set(call["names"]) - set(without):
            calls.add(action_of(call), name, arguments)
    return calls


def profile_names_calls():
    require_libseccomp()
    known = seccomp_filter.Filter(seccomp_filter.ALLOW)
    names = [name for call in profile()["syscalls"] for name in call["names"]]
    # fchmodat2 is younger than Debian 12's libseccomp, which container engines bring their own of.
    unknown = [name for name in names if not known.knows(name)]
    expect(set(unknown) <= {"fchmodat2"}, unknown)
    once = [name for name in names if name != "socket"]
    expect(len(once) == len(set(once)), "named twice:", sorted(name for name in once if once.count(name) > 1))


# A container is not to be held less tightly than the service.
def profile_permits_no_more_than_the_unit():
    if shutil.which("systemd-analyze") is None:
        raise Skip("systemd-analyze is not installed")
    from systemd_test import allowed_calls

    names = {name for call in profile()["syscalls"] if call["action"] == "SCMP_ACT_ALLOW" for name in call["names"]}
    # The unit's set is older than the first; the loader and every allocator ask the second.
    further = names - allowed_calls("ringmaster.service") - {"fchmodat2", "mincore"}
    expect(not further, further)


def serves_under_the_profile():
    require_libseccomp()
    calls = as_filter()
    with running_server.scratch_directory() as directory:
        file = running_server.configuration(directory)
        running_server.expect_served(running_server.BINARY, file, before_exec=calls.load)


def health_check():
    """The command of the Dockerfile's HEALTHCHECK."""
    text = (CONTAINER / "Dockerfile").read_text()
    command = re.search(r"HEALTHCHECK.*?CMD (\[.*?\])", text, re.DOTALL).group(1)
    return json.loads(command.replace("\\\n", " "))


def health_check_tells_health():
    require_libseccomp()
    if shutil.which("curl") is None:
        raise Skip("curl is not installed")
    calls = as_filter()
    with running_server.scratch_directory() as directory:
        file = running_server.configuration(directory)
        command = [word.replace("/run/ringmaster/ringmaster", f"{directory}/server") for word in health_check()]
        expect(running_server.run(*command, preexec_fn=calls.load).returncode != 0, "healthy without a server")
        started = running_server.run(running_server.BINARY, "start", "-d", file)
        expect(started.returncode == 0, started)
        try:
            result = running_server.run(*command, preexec_fn=calls.load)
            expect(result.returncode == 0, result)
        finally:
            running_server.run(running_server.BINARY, "stop", file)


def profile_refuses(program, reason):
    require_libseccomp()
    calls = as_filter()
    result = running_server.run("python3", "-c", program, preexec_fn=calls.load)
    expect(result.returncode == 1 and reason in result.stderr, result)


def without_the_addition_the_server_says_so():
    require_libseccomp()
    calls = as_filter(without=["io_uring_setup", "io_uring_enter", "io_uring_register"])
    with running_server.scratch_directory() as directory:
        file = running_server.configuration(directory)
        result = running_server.run(running_server.BINARY, "start", file, preexec_fn=calls.load)
        expect(result.returncode == 1 and "seccomp profile" in result.stdout + result.stderr, result)


# The image installs what the program is linked to, beside what every image has.
def image_has_the_libraries():
    if shutil.which("dpkg-query") is None:
        raise Skip("dpkg is not installed")
    text = (CONTAINER / "Dockerfile").read_text()
    second = text[text.rindex("\nFROM ") :]
    listed = set(re.search(r"--no-install-recommends \\\n(.*?)  &&", second, re.DOTALL).group(1).replace("\\", "").split())
    linked = running_server.run("ldd", running_server.BINARY).stdout
    if "libasan" in linked or "libubsan" in linked:
        raise Skip("built with sanitizers")
    # /lib is a link to /usr/lib, and packages are of two minds about it. One question for all: each takes a second.
    paths = [path.removeprefix("/usr") for path in re.findall(r"=> (/\S+)", linked)]
    spellings = [spelling for path in paths for spelling in (path, "/usr" + path)]
    answer = subprocess.run(["dpkg-query", "--search", *spellings], capture_output=True, text=True, check=False).stdout
    owners = dict(reversed(line.split(": ", 1)) for line in answer.splitlines())
    for path in paths:
        expect(path in owners or "/usr" + path in owners, "no package owns", path)
    needed = {owner.split(":")[0] for owner in owners.values()}
    base = {"libc6", "libgcc-s1", "libstdc++6"}
    expect(needed - base == listed - {"curl"}, "linked:", needed - base, "listed:", listed)


def copies_what_is_there():
    text = (CONTAINER / "Dockerfile").read_text()
    sources = [source for source in re.findall(r"^COPY (?!--from)(\S+) ", text, re.MULTILINE)]
    expect(len(sources) == 3, sources)
    for source in sources:
        expect((running_server.ROOT / source).exists(), source)


def main():
    new_user_namespace = (
        "import ctypes, errno, os, sys; libc = ctypes.CDLL(None, use_errno=True); "
        "ok = libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0) >= 0; "
        "sys.exit(0 if ok else os.strerror(ctypes.get_errno()))"
    )
    with Cases() as cases:
        cases.run("the profile has the shape of the runtime specification", profile_has_the_specified_shape)
        cases.run("the profile names calls that exist, each once", profile_names_calls)
        cases.run("the profile permits no more than the unit", profile_permits_no_more_than_the_unit)
        cases.run("the server serves under the profile", serves_under_the_profile)
        cases.run("the health check tells health, under the profile, too", health_check_tells_health)
        for what, program, reason in (
            ("a netlink socket", "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)", "PermissionError"),
            ("chroot", "import os; os.chroot('/')", "PermissionError"),
            ("a device file", "import os; os.mknod('/tmp/ringmaster-device', 0o20600, 0x103)", "PermissionError"),
            ("a new user namespace", new_user_namespace, "Operation not permitted"),
        ):
            cases.run(f"the profile refuses {what}", profile_refuses, program, reason)
        cases.run("without io_uring the start names the profile", without_the_addition_the_server_says_so)
        cases.run("the image has the libraries that the program is linked to", image_has_the_libraries)
        cases.run("the image copies what is there", copies_what_is_there)


if __name__ == "__main__":
    main()
