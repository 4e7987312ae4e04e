"""Drives the load client: connections that outlive the slices."""

import json
import os
import select
import subprocess
import time

START_SECONDS_MAX = 60
# The client itself gives up ten seconds after a slice should have ended.
LATE_SECONDS_MAX = 15


class LoadError(Exception):
    """The server answered wrongly or not at all."""


class LoadClient:
    """One load_client process; `with` ends it."""

    def __init__(self, binary, port, load, cpu):
        self._process = subprocess.Popen(
            [str(binary), '--port', str(port), '--interactive', *load],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        try:
            self._process.wait(LATE_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._process.stderr.close()

    def wait_ready(self):
        return self._read_line(START_SECONDS_MAX)

    def run_slice(self, seconds):
        self._process.stdin.write(f'{seconds}\n'.encode())
        self._process.stdin.flush()
        return self._read_line(seconds + LATE_SECONDS_MAX)

    def _read_line(self, seconds_max):
        deadline = time.monotonic() + seconds_max
        line = b''
        while not line.endswith(b'\n'):
            left = max(0, deadline - time.monotonic())
            if not select.select([self._process.stdout], [], [], left)[0]:
                raise LoadError(f'the load client said nothing for {seconds_max} s')
            data = os.read(self._process.stdout.fileno(), 4096)
            if not data:
                raise LoadError(self._process.stderr.read().decode(errors='replace').strip())
            line += data
        return json.loads(line)
