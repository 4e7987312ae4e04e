"""How each server is started: the one place that knows their command lines and configurations."""

import json
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import time

import process_tree

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
START_SECONDS_MAX = 10
STOP_SECONDS_MAX = 5


class ServerError(Exception):
    """The server did not start, or died."""


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def ringmaster_config(port, directory):
    """One worker, no access log, every timeout and limit at its default but the message size."""
    return {
        'name': 'side-by-side',
        'workers': 1,
        'pid_file': f'{directory}/ringmaster.pid',
        'control_socket': f'{directory}/ringmaster.sock',
        'logging': {'level': 'warn', 'access_log': 'off'},
        'listeners': [{'address': f'127.0.0.1:{port}'}],
        'routes': [
            {'path': '/hello', 'type': 'text', 'content_type': 'text/plain',
             'body': 'Hello, World!'},
            {'path': '/ws', 'type': 'websocket-echo', 'limits': {'message_bytes_max': '16MiB'}},
        ],
    }


def _ringmaster_command(binary, port, directory, config_file):
    if config_file:
        text = pathlib.Path(config_file).read_text(encoding='utf-8')
        text = text.replace('{port}', str(port)).replace('{directory}', directory)
    else:
        text = json.dumps(ringmaster_config(port, directory), indent=2)
    path = pathlib.Path(directory, 'ringmaster.json')
    path.write_text(text, encoding='utf-8')
    return [binary, 'start', str(path)]


def _nginx_command(port, directory):
    template = (HERE / 'nginx.conf.in').read_text(encoding='utf-8')
    path = pathlib.Path(directory, 'nginx.conf')
    path.write_text(template.format(port=port, directory=directory), encoding='utf-8')
    # -e: before it has read the configuration, nginx would write to a log only root may open.
    return ['/usr/sbin/nginx', '-p', directory, '-e', f'{directory}/error.log', '-c', str(path)]


class Server:
    """A server under measurement: started on a free port, pinned to one CPU, ended with `stop`.

    `kind` is ringmaster[:BINARY][@CONFIG], nginx, beast[:BINARY] or command:COMMAND LINE with {port}.
    """

    def __init__(self, kind, options):
        self.kind = kind
        head, _, config = kind.partition('@') if kind.startswith('ringmaster') else (kind, '', '')
        self.name, _, self.argument = head.partition(':')
        if self.name not in ('ringmaster', 'nginx', 'beast', 'command'):
            raise ServerError(f'{kind}: expected ringmaster[:BINARY], nginx, beast[:BINARY] or '
                              'command:COMMAND LINE with {port}')
        if self.name == 'command':
            if '{port}' not in self.argument:
                raise ServerError(f'{kind}: the command line needs {{port}}')
            self.name = pathlib.Path(shlex.split(self.argument)[0]).name
        elif self.argument:
            self.name = self.argument
        # One program with two configurations: what a limit or a counter costs.
        self.config_file = config or options.server_config
        if config:
            self.name = f'{self.name}@{config}'
        self.options = options
        self.port = 0
        self._process = None
        self._directory = None

    @property
    def pid(self):
        return self._process.pid

    def _command(self, directory, response_bytes):
        if self.kind.startswith('command:'):
            return shlex.split(self.argument.replace('{port}', str(self.port)))
        if self.kind.startswith('nginx'):
            return _nginx_command(self.port, directory)
        if self.kind.startswith('beast'):
            binary = self.argument or str(self.options.build / 'bench/side_by_side/beast_server')
            return [binary, str(self.port), str(response_bytes)]
        binary = self.argument or str(self.options.build / 'tools/ringmaster/ringmaster')
        return _ringmaster_command(binary, self.port, directory, self.config_file)

    def start(self, directory, response_bytes):
        """`response_bytes`: the length the HTTP response should have, 0 = as it comes."""
        self.port = free_port()
        self._directory = pathlib.Path(directory)
        command = self._command(directory, response_bytes)
        with open(self._directory / 'output', 'wb') as output:
            try:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    start_new_session=True,
                    preexec_fn=lambda: os.sched_setaffinity(0, {self.options.server_cpu}))
            except OSError as error:
                raise ServerError(f'{command[0]}: {error.strerror}') from error
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            if self._process.poll() is not None:
                raise ServerError(f'{self.name} ended at once: {self.output()}')
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(('127.0.0.1', self.port)) == 0:
                    return
            if time.monotonic() > deadline:
                raise ServerError(f'{self.name} does not listen: {self.output()}')
            time.sleep(0.05)

    def output(self):
        text = (self._directory / 'output').read_text(encoding='utf-8', errors='replace')
        return text.strip()[-500:]

    def stop(self):
        if self._process is None or self._process.poll() is not None:
            return
        # Remembered now: once the parent is gone, nothing says whose children they were.
        tree = process_tree.processes(self._process.pid)
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS_MAX)
            return
        except subprocess.TimeoutExpired:
            pass
        for pid in tree:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self._process.wait()
