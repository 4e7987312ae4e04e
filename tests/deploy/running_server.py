"""The stock server for a test, with its files in a directory of its own and a port that the kernel chooses."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("RINGMASTER_BINARY", ROOT / "build/tools/ringmaster/ringmaster"))
PATIENCE = 60  # seconds; every wait here is bounded by it


@contextlib.contextmanager
def scratch_directory():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="ringmaster-deploy-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def run(*command, **options):
    """Runs it to its end; the result has returncode, stdout and stderr."""
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=PATIENCE, check=False, **options
    )


def configuration(directory, **changes):
    file = directory / "server.json"
    content = {
        "pid_file": str(directory / "server.pid"),
        "workers": 2,
        "listeners": [{"address": "127.0.0.1:0"}],
        "routes": [{"path": "/hello", "type": "text", "body": "Hello, World!"}],
    }
    file.write_text(json.dumps({**content, **changes}))
    return file


def expect_served(program, file, before_exec=None):
    """Starts `program` in the foreground, fetches /hello, asks for its status and stops it. Any failure raises with what
    it printed."""
    server = subprocess.Popen(
        [str(program), "start", str(file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=before_exec,
    )
    printed = []
    try:
        for line in server.stdout:
            printed.append(line)
            if line == "ready\n":
                break
        else:
            raise AssertionError("it did not become ready: " + "".join(printed))
        url = re.search(r"http://\S+/hello", "".join(printed)).group()
        with urllib.request.urlopen(url, timeout=PATIENCE) as response:
            body = response.read()
        assert body == b"Hello, World!", body
        status = run(program, "status", "--json", file, preexec_fn=before_exec)
        assert status.returncode == 0, status
        states = [worker["state"] for worker in json.loads(status.stdout)["workers"]]
        assert states == ["ready"] * 2, states
        stop = run(program, "stop", file, preexec_fn=before_exec)
        assert stop.returncode == 0, stop
        rest, _ = server.communicate(timeout=PATIENCE)
        assert server.returncode == 0, (server.returncode, printed, rest)
    finally:
        if server.poll() is None:
            server.kill()
        server.stdout.close()
        server.wait()
