"""The Debian packages: built by deploy/debian/build-package from the build directory at hand, judged by lintian, installed
into a root of their own and used there.

The root is this machine's file system under an overlay that is thrown away, in namespaces of its own: its ports, its
processes, its mounts. Nothing is installed into the machine. That takes root; without it those cases are skipped.
"""

import fcntl
import json
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import time
import urllib.request

import running_server
from tap import Cases, Skip, expect

BUILD_PACKAGE = running_server.ROOT / "deploy/debian/build-package"
CONFIGURATION = "/etc/ringmaster/ringmaster.json"
# The maintainer is named by who publishes the packages (DEBEMAIL); there is no bug to close.
LINTIAN_KNOWN = "bogus-mail-host,bogus-mail-host-in-debian-changelog,initial-upload-closes-no-bugs"


def build(packages):
    result = subprocess.run(
        [BUILD_PACKAGE, "--build-dir", os.environ["RINGMASTER_BUILD_DIR"], "--output", packages, "--jobs", "2"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    expect(result.returncode == 0, result.stdout, result.stderr)
    names = sorted(pathlib.Path(line).name.split("_")[0] for line in result.stdout.split())
    expect(names == ["ringmaster", "ringmaster-dev"], result.stdout)


def builder_refuses_wrong_usage():
    for arguments in (["--nonsense"], ["--output"], ["--jobs", "0"], ["--build-dir", "/nonexistent"]):
        result = running_server.run(BUILD_PACKAGE, *arguments)
        expect(result.returncode == 2 and result.stderr.startswith("build-package: "), arguments, result)


def satisfies_lintian(packages):
    if shutil.which("lintian") is None:
        raise Skip("lintian is not installed")
    result = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", "--suppress-tags", LINTIAN_KNOWN]
        + sorted(packages.glob("*.deb")),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    expect(result.returncode == 0, result.stdout, result.stderr)


# --- In the root of its own -------------------------------------------------------------------------------------------


class Root:
    """This machine's files under an overlay at `path`. Made in a mount namespace of its own; ends with it."""

    def __init__(self, scratch):
        self.path = scratch / "root"
        mount("-t", "tmpfs", "tmpfs", scratch)
        for name in ("root", "upper", "work"):
            (scratch / name).mkdir()
        layers = f"lowerdir=/,upperdir={scratch}/upper,workdir={scratch}/work"
        mount("-t", "overlay", "overlay", "-o", layers, self.path)
        mount("-t", "proc", "proc", self.path / "proc")
        mount("--bind", "/dev", self.path / "dev")
        for name in ("run", "tmp"):
            mount("-t", "tmpfs", "tmpfs", self.path / name)

    def run(self, *command, user=None, timeout=running_server.PATIENCE, expected=0):
        as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        result = subprocess.run(
            ["chroot", str(self.path), *as_user, *(str(word) for word in command)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"},
        )
        expect(expected is None or result.returncode == expected, command, result.stdout, result.stderr)
        return result

    def file(self, path):
        return self.path / path.lstrip("/")

    def install(self, package):
        self.run("dpkg", "--install", f"/tmp/{package.name}", timeout=120)


def mount(*arguments):
    result = running_server.run("mount", *arguments)
    if result.returncode != 0:
        raise OSError(result.stderr)


def raise_loopback():
    """What `ip link set lo up` does: a new network namespace has it down."""
    with socket.socket() as any_socket:
        request = bytearray(struct.pack("16sh14x", b"lo", 0))
        fcntl.ioctl(any_socket, 0x8913, request)  # SIOCGIFFLAGS
        _, flags = struct.unpack("16sh14x", request)
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", flags | 1))  # SIOCSIFFLAGS, IFF_UP


def fetch(url):
    with urllib.request.urlopen(url, timeout=running_server.PATIENCE) as response:
        return response.read()


def installs(root, package):
    root.install(package)
    status = root.run("dpkg-query", "--show", "--showformat", "${db:Status-Status}\n${Conffiles}", "ringmaster").stdout
    expect(status.startswith("installed\n"), status)
    expect(CONFIGURATION in status and "/etc/logrotate.d/ringmaster" in status, status)
    expect("ringmaster" in root.run("id", "ringmaster").stdout)
    for file in ("/lib/systemd/system/ringmaster.service", "/usr/share/man/man1/ringmaster.1.gz"):
        expect(root.file(file).exists(), file)


def is_the_version(root):
    version = re.search(r"version: '([^']+)'", (running_server.ROOT / "meson.build").read_text()).group(1)
    printed = root.run("ringmaster", "--version").stdout
    expect(printed == f"ringmaster {version}\n", printed)


def checks_its_configuration(root):
    root.run("ringmaster", "check", CONFIGURATION, user="ringmaster")


def serves(root):
    # What RuntimeDirectory= makes.
    root.run("install", "-d", "-o", "ringmaster", "-g", "ringmaster", "-m", "750", "/run/ringmaster")
    root.run("ringmaster", "start", "-d", CONFIGURATION, user="ringmaster")
    try:
        expect(fetch("http://127.0.0.1:8080/hello") == b"Hello, World!\n")
        # Root finds what the service's user runs.
        status = json.loads(root.run("ringmaster", "status", "--json", CONFIGURATION).stdout)
        expect(status["totals"]["counters"]["http_requests"] == 1, status["totals"])
    finally:
        root.run("ringmaster", "stop", CONFIGURATION)
    root.run("ringmaster", "status", CONFIGURATION, expected=3)


def has_its_pages_and_completion(root):
    if root.run("which", "man", expected=None).returncode == 0:
        for section, page in ((1, "ringmaster"), (5, "ringmaster.json")):
            expect("/usr/share/man" in root.run("man", "--where", section, page).stdout, page)
    script = "source /usr/share/bash-completion/completions/ringmaster && complete -p ringmaster"
    expect("_ringmaster" in root.run("bash", "-c", script).stdout)


def has_a_sound_unit(root):
    if root.run("which", "systemd-analyze", expected=None).returncode != 0:
        raise Skip("systemd-analyze is not installed")
    result = root.run("systemd-analyze", "verify", "--recursive-errors=no", "/lib/systemd/system/ringmaster.service")
    expect(not result.stderr, result.stderr)


def keeps_a_changed_configuration(root, package):
    file = root.file(CONFIGURATION)
    changed = file.read_text().replace("Hello, World!", "Hello, packages!")
    file.write_text(changed)
    root.install(package)
    expect(file.read_text() == changed)


def compiles_a_program(root, package):
    root.install(package)
    # As the documentation has it; without optimisation, which takes longest.
    script = "g++ -O0 -Wall -Werror -o /tmp/game /usr/share/doc/ringmaster-dev/examples/game.cc $(pkg-config --cflags --libs ringmaster)"
    root.run("bash", "-c", script, timeout=150)
    # /run/ringmaster is the other's.
    game = ["env", "XDG_RUNTIME_DIR=/tmp", "/tmp/game"]
    root.run(*game, "start", "-d")
    try:
        expect(b"/play" in fetch("http://127.0.0.1:8081/"))
    finally:
        root.run(*game, "stop")


def leaves_nothing_behind(root):
    root.run("dpkg", "--remove", "ringmaster-dev", "ringmaster", timeout=120)
    expect(not root.file("/usr/bin/ringmaster").exists() and root.file(CONFIGURATION).exists())
    root.run("dpkg", "--purge", "ringmaster", timeout=120)
    left = [
        path
        for path in ("/etc/ringmaster", "/usr/share/ringmaster", "/usr/include/ringmaster", "/var/lib/ringmaster")
        if root.file(path).exists()
    ]
    expect(not left, left)


def in_root(packages, scratch):
    """The cases of the installed package; prints their results as lines for who started it."""
    raise_loopback()
    root = Root(scratch)
    (ringmaster,) = packages.glob("ringmaster_*.deb")
    (development,) = packages.glob("ringmaster-dev_*.deb")
    for package in (ringmaster, development):
        shutil.copy(package, root.file("/tmp"))
    with Cases() as cases:
        cases.run("it installs, with user, units and configuration", installs, root, ringmaster)
        cases.run("the program says the project's version", is_the_version, root)
        cases.run("its user may check the configuration", checks_its_configuration, root)
        cases.run("its user serves by it, and root controls it", serves, root)
        cases.run("its pages and completion are found", has_its_pages_and_completion, root)
        cases.run("its unit is sound where it is installed", has_a_sound_unit, root)
        cases.run("another installation keeps a changed configuration", keeps_a_changed_configuration, root, ringmaster)
        cases.run("a program compiles with the development package, and serves", compiles_a_program, root, development)
        cases.run("removed and purged it leaves nothing behind", leaves_nothing_behind, root)


# The namespaces end with the process, and with them every mount and every process that a case left.
def run_in_root(packages):
    if os.geteuid() != 0:
        raise Skip("installing needs root")
    with running_server.scratch_directory() as scratch:
        command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        probe = running_server.run(*command, "mount", "-t", "tmpfs", "tmpfs", scratch)
        if probe.returncode != 0:
            raise Skip(f"no namespaces here: {probe.stderr.strip()}")
        result = subprocess.run(
            [*command, sys.executable, "-B", __file__, "--in-root", packages, scratch],
            capture_output=True,
            text=True,
            timeout=220,
            check=False,
        )
    return result


def report_in_root(cases, packages):
    """One case here for each that ran in there."""
    try:
        result = run_in_root(packages)
    except Skip as reason:
        message = str(reason)

        def skip():
            raise Skip(message)

        cases.run("the packages install and serve", skip)
        return
    lines = re.findall(r"^(ok|not ok) \d+ - (.*?)( # SKIP .*)?$\n((?:# .*\n)*)", result.stdout, re.MULTILINE)

    def judge(outcome, skipped, explanation):
        if skipped:
            raise Skip(skipped.removeprefix(" # SKIP "))
        expect(outcome == "ok", explanation)

    for outcome, name, skipped, explanation in lines:
        cases.run(name, judge, outcome, skipped, explanation)
    cases.run("every case of the installed package ran", expect, len(lines) == 9, result.stdout, result.stderr)


def long_run_only():
    raise Skip("a long run: tools/check --packages")


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "--in-root":
        in_root(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
        return
    if shutil.which("dh") is None:
        print("1..0 # SKIP debhelper is not installed")
        return
    begin = time.monotonic()
    with running_server.scratch_directory() as packages, Cases() as cases:
        cases.run("the builder refuses wrong usage", builder_refuses_wrong_usage)
        cases.run("two packages are built", build, packages)
        if os.environ.get("RINGMASTER_PACKAGES") != "1":
            # Lintian, and installing into a root of its own, take minutes.
            cases.run("the packages install and serve", long_run_only)
            return
        cases.run("lintian finds no fault", satisfies_lintian, packages)
        report_in_root(cases, packages)
        print(f"# {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
