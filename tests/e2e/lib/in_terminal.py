"""Runs a program in a pseudo-terminal for a test in another language.

  in_terminal.py COLUMNS ROWS PROGRAM [ARGUMENT...]

Standard input takes one command a line: `key TEXT`, `size COLUMNS ROWS`, `signal NUMBER`. What the program
writes goes to standard output as it comes. The last line, on standard error, is a JSON object: `status` (of
the program's exit, negative for a signal), `restored` (the terminal's modes are what they were before).
"""

import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios


def set_size(fd, columns, rows):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))


def obey(line, pid, terminal):
    word, _, rest = line.partition(' ')
    if word == 'key':
        os.write(terminal, rest.encode())
    elif word == 'size':
        set_size(terminal, *map(int, rest.split()))
    elif word == 'signal':
        os.kill(pid, int(rest))


def main():
    columns, rows = int(sys.argv[1]), int(sys.argv[2])
    terminal, program_end = pty.openpty()
    set_size(terminal, columns, rows)
    before = termios.tcgetattr(program_end)
    pid = os.fork()
    if pid == 0:
        os.setsid()
        fcntl.ioctl(program_end, termios.TIOCSCTTY, 0)
        for fd in (0, 1, 2):
            os.dup2(program_end, fd)
        os.execv(sys.argv[3], sys.argv[3:])
    pidfd = os.pidfd_open(pid)
    commands = b''
    inputs = [terminal, pidfd, 0]
    while True:
        ready, _, _ = select.select(inputs, [], [])
        if terminal in ready:
            os.write(1, os.read(terminal, 65536))
        elif 0 in ready:
            piece = os.read(0, 4096)
            if not piece:
                inputs.remove(0)
            commands += piece
            *lines, commands = commands.split(b'\n')
            for line in lines:
                obey(line.decode(), pid, terminal)
        elif pidfd in ready:
            break  # and everything it wrote has been read
    _, wait_status = os.waitpid(pid, 0)
    after = termios.tcgetattr(program_end)
    print(json.dumps({'status': os.waitstatus_to_exitcode(wait_status), 'restored': before == after}),
          file=sys.stderr)


main()
