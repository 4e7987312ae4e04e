"""deploy/deploy in every way that a deployment can go, against a server that pretends (fake_ringmaster.py) and an admin
listener that says of it what the real one would."""

import contextlib
import fcntl
import http.server
import json
import os
import pathlib
import shutil
import signal
import socketserver
import subprocess
import sys
import threading
import time

import running_server
from tap import Cases, expect

SCRIPT = running_server.ROOT / "deploy/deploy"
FAKE = pathlib.Path(__file__).with_name("fake_ringmaster.py")


class AdminListener(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class Machine:
    """A directory with an installed program, its state, and its admin listener."""

    def __init__(self, directory):
        self.directory = directory
        self.state_file = directory / "state.json"
        self.target = self.program("installed", "good", comment="old")
        self.write_state({"generation": 3, "serving": "good", "looks": 0, "commands": []})

    def program(self, name, variant, comment="new"):
        file = self.directory / name
        text = FAKE.read_text().replace('VARIANT = "good"', f'VARIANT = "{variant}"  # {comment}')
        file.write_text(f"#!{sys.executable} -BIS\n{text}")
        file.chmod(0o755)
        return file

    def write_state(self, state):
        self.state_file.write_text(json.dumps(state))

    def state(self):
        return json.loads(self.state_file.read_text())

    def command(self, new, *options):
        fixed = ["--to", self.target, "--no-config", "--watch-seconds", "1", "--interval", "0.05"]
        return [str(word) for word in [SCRIPT, *fixed, *options, new]]

    def environment(self):
        return {**os.environ, "FAKE_STATE": str(self.state_file)}

    def deploy(self, variant, *options):
        new = self.program("new", variant)
        return running_server.run(*self.command(new, *options), env=self.environment())

    def expect_old_program(self):
        text = self.target.read_text()
        expect("# old" in text, text[-60:])

    def expect_clean(self):
        names = {file.name for file in self.directory.iterdir()}
        expect(names <= {"installed", "installed.previous", "new", "state.json", "admin.sock"}, names)


@contextlib.contextmanager
def machine():
    with running_server.scratch_directory() as directory:
        made = Machine(directory)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                is_ready = made.state()["serving"] != "starting"
                body = b"ok\n" if is_ready else b"not ok: worker 0 is starting\n"
                self.send_response(200 if is_ready else 503)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def address_string(self):
                return "unix"

            def log_message(self, *arguments):
                pass

        listener = AdminListener(str(directory / "admin.sock"), Handler)
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield made
            made.expect_clean()
        finally:
            listener.shutdown()
            thread.join()
            listener.server_close()


def puts_a_good_program_into_service(options, command):
    with machine() as server:
        result = server.deploy("good", *options)
        expect(result.returncode == 0, result)
        expect(server.state()["commands"] == [f"{command} good"], server.state())
        expect("# new" in server.target.read_text())
        expect("# old" in (server.directory / "installed.previous").read_text())
        expect(os.access(server.target, os.X_OK))
        expect("generation 4 is well" in result.stdout, result.stdout)


def deploys_twice():
    """The kept program is the one before, and never written through: it may be the file that runs."""
    with machine() as server:
        expect(server.deploy("good").returncode == 0)
        server.program("new", "good", comment="newer")
        result = running_server.run(*server.command(server.directory / "new"), env=server.environment())
        expect(result.returncode == 0, result)
        expect("# newer" in server.target.read_text())
        expect("# new\n" in (server.directory / "installed.previous").read_text())


def changes_nothing(variant, options, status, complaint):
    with machine() as server:
        before = server.state()
        result = server.deploy(variant, *options)
        expect(result.returncode == status and complaint in result.stdout + result.stderr, result)
        server.expect_old_program()
        expect(server.state()["commands"] == before["commands"], server.state())
        expect(not (server.directory / "installed.previous").exists())


def leaves_what_does_not_run():
    with machine() as server:
        server.write_state({**server.state(), "serving": "gone", "looks": 5})
        result = server.deploy("good")
        expect(result.returncode == 1 and "not running" in result.stderr, result)
        server.expect_old_program()
        server.target.unlink()
        result = server.deploy("good")
        expect(result.returncode == 1 and "is not there" in result.stderr, result)


def waits_for_no_other_reload():
    with machine() as server:
        server.write_state({**server.state(), "reload": {"state": "rolling"}})
        result = server.deploy("good")
        expect(result.returncode == 1 and "rolling" in result.stderr, result)
        server.expect_old_program()


def deploys_one_at_a_time():
    with machine() as server:
        descriptor = os.open(server.directory, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            result = server.deploy("good")
        finally:
            os.close(descriptor)
        expect(result.returncode == 1 and "another deployment" in result.stderr, result)
        server.expect_old_program()


def puts_back_after_an_abandoned_reload():
    with machine() as server:
        result = server.deploy("abandoned")
        expect(result.returncode == 4, result)
        expect("worker 0 was not ready in 10s" in result.stderr, result.stderr)
        server.expect_old_program()
        # The old workers have served all the time; nobody reloads them.
        expect(server.state()["commands"] == ["reload abandoned"], server.state())
        expect(server.state()["generation"] == 3, server.state())


def puts_the_master_back_after_an_abandoned_upgrade():
    with machine() as server:
        result = server.deploy("abandoned", "--upgrade")
        expect(result.returncode == 4, result)
        expect(server.state()["commands"] == ["upgrade abandoned", "upgrade good"], server.state())
        server.expect_old_program()


def puts_back_what_is_not_well(variant, complaint):
    with machine() as server:
        # It ends with the first sign, not after that time.
        result = server.deploy(variant, "--watch-seconds", "60")
        expect(result.returncode == 5 and complaint in result.stderr, result)
        server.expect_old_program()
        expect(server.state()["commands"] == [f"reload {variant}", "reload good"], server.state())
        expect(server.state()["serving"] == "good" and server.state()["generation"] == 5, server.state())


def tolerates(variant, options):
    with machine() as server:
        result = server.deploy(variant, *options)
        expect(result.returncode == 0, result)
        expect(server.state()["serving"] == variant, server.state())


def says_so_when_it_cannot_put_back():
    with machine() as server:
        server.write_state({**server.state(), "last_generation": 4})
        result = server.deploy("errors")
        expect(result.returncode == 6, result)
        expect("did not take over: worker 0 was not ready in 10s" in result.stderr, result.stderr)
        server.expect_old_program()


def leaves_the_generation_of_somebody_else():
    with machine() as server:
        result = server.deploy("other", "--watch-seconds", "60")
        expect(result.returncode == 6 and "generation 5 is in service, not 4" in result.stderr, result)
        expect("# new" in server.target.read_text())
        expect(server.state()["commands"] == ["reload other"], server.state())


def leaves_it_when_told_to():
    with machine() as server:
        result = server.deploy("errors", "--no-rollback")
        expect(result.returncode == 6 and "--no-rollback" in result.stderr, result)
        expect("# new" in server.target.read_text())
        expect(server.state()["serving"] == "errors", server.state())


def reloads_the_same_program():
    """For a changed configuration. There is nothing to put back."""
    with machine() as server:
        result = running_server.run(*server.command(server.target), env=server.environment())
        expect(result.returncode == 0, result)
        expect(not (server.directory / "installed.previous").exists())
        server.write_state({**server.state(), "last_generation": 4})
        result = running_server.run(*server.command(server.target), env=server.environment())
        expect(result.returncode == 6 and "nothing to put back" in result.stderr, result)


def is_interrupted():
    with machine() as server:
        new = server.program("new", "good")
        command = server.command(new, "--watch-seconds", "60")
        with subprocess.Popen(
            command, env=server.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as script:
            end = time.monotonic() + running_server.PATIENCE
            while server.state()["serving"] != "good" or server.state()["looks"] < 3 or server.state()["generation"] < 4:
                expect(time.monotonic() < end, server.state())
                time.sleep(0.02)
            script.send_signal(signal.SIGTERM)
            _, errors = script.communicate(timeout=running_server.PATIENCE)
        expect(script.returncode == 143 and "not judged to the end" in errors, script.returncode, errors)
        expect("# new" in server.target.read_text())


def refuses_wrong_usage():
    for arguments in (
        [],
        ["--nonsense", "a"],
        ["--to"],
        ["/bin/true", "/bin/false"],
        ["--watch-seconds", "soon", "/bin/true"],
        ["--interval", "0", "/bin/true"],
        ["--errors-max", "-1", "/bin/true"],
        ["--health", "nonsense", "/bin/true"],
        ["/nonexistent"],
        ["/etc/passwd"],
    ):
        result = running_server.run(SCRIPT, *arguments)
        expect(result.returncode == 2 and result.stderr.startswith("deploy: "), arguments, result)


def is_sound():
    if shutil.which("shellcheck") is None:
        return
    for script in (SCRIPT, running_server.ROOT / "deploy/debian/build-package"):
        result = running_server.run("shellcheck", script)
        expect(result.returncode == 0, result.stdout)


def help_lists_every_exit_status():
    text = running_server.run(SCRIPT, "--help").stdout
    for status in range(7):
        expect(f" {status}  " in text, status)


def main():
    with Cases(at_once=4) as cases:
        cases.run("a good program gets into service", puts_a_good_program_into_service, [], "reload")
        cases.run("a good master, too", puts_a_good_program_into_service, ["--upgrade"], "upgrade")
        cases.run("the program before is kept", deploys_twice)
        cases.run("--dry-run changes nothing", changes_nothing, "good", ["--dry-run"], 0, "would put")
        cases.run("--dry-run checks", changes_nothing, "check", ["--dry-run"], 3, "lissteners")
        cases.run("a program that refuses the configuration changes nothing", changes_nothing, "check", [], 3, "lissteners")
        cases.run("a server that does not run is left alone", leaves_what_does_not_run)
        cases.run("a reload that is under way is left alone", waits_for_no_other_reload)
        cases.run("one deployment at a time", deploys_one_at_a_time)
        cases.run("an abandoned reload puts the old program back", puts_back_after_an_abandoned_reload)
        cases.run("an abandoned upgrade puts the old master back", puts_the_master_back_after_an_abandoned_upgrade)
        for variant, complaint in (
            ("errors", "requests failed"),
            ("drained", "requests failed"),
            ("stalls", "held up workers"),
            ("restarts", "died or were replaced"),
            ("stuck", "1 workers died or were replaced"),
            ("starting", "worker 0 is starting"),
            ("gone", "not running"),
        ):
            cases.run(f"what is not well is put back: {variant}", puts_back_what_is_not_well, variant, complaint)
        cases.run("a look that fails once is no trouble", tolerates, "blip", [])
        cases.run("errors that are allowed are no trouble", tolerates, "errors", ["--errors-max", "20"])
        cases.run("errors of few requests are not judged", tolerates, "errors", ["--requests-min", "100000000"])
        cases.run("restarts that are allowed are no trouble", tolerates, "restarts", ["--restarts-max", "1000"])
        cases.run("without an admin listener its readiness is not asked", tolerates, "starting", ["--health", "none"])
        cases.run("a program that cannot be put back is told of", says_so_when_it_cannot_put_back)
        cases.run("what somebody else has reloaded is left to them", leaves_the_generation_of_somebody_else)
        cases.run("--no-rollback leaves it", leaves_it_when_told_to)
        cases.run("the same program is only reloaded", reloads_the_same_program)
        cases.run("an interrupted watch leaves the new program", is_interrupted)
        cases.run("wrong usage is refused", refuses_wrong_usage)
        cases.run("the scripts are sound for shellcheck", is_sound)
        cases.run("the help lists every exit status", help_lists_every_exit_status)


if __name__ == "__main__":
    main()
