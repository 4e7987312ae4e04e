"""CPU time and memory of a process and all its descendants, from /proc."""

import os

_NS_PER_TICK = 1_000_000_000 // os.sysconf('SC_CLK_TCK')


def _read(path):
    with open(path, encoding='ascii', errors='replace') as file:
        return file.read()


def processes(root):
    """The ids of `root` and its descendants that are alive."""
    children = {}
    for name in os.listdir('/proc'):
        if name.isdigit():
            try:
                # The program's name in parentheses may hold spaces; state and parent follow it.
                parent = int(_read(f'/proc/{name}/stat').rpartition(')')[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def _thread_cpu_ns(task):
    try:
        # Time on a CPU, waiting time, slices: exact where the kernel keeps it.
        return int(_read(f'{task}/schedstat').split()[0])
    except (FileNotFoundError, IndexError):
        # utime and stime are fields 14 and 15.
        fields = _read(f'{task}/stat').rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) * _NS_PER_TICK


def thread_cpu_ns(root):
    """User and system time so far, by thread. Kernel workers of an io_uring are threads too."""
    times = {}
    for pid in processes(root):
        try:
            threads = os.listdir(f'/proc/{pid}/task')
        except FileNotFoundError:
            continue
        for thread in threads:
            try:
                times[int(thread)] = _thread_cpu_ns(f'/proc/{pid}/task/{thread}')
            except (FileNotFoundError, ProcessLookupError):
                pass
    return times


def cpu_seconds_between(before, after):
    """From two answers of thread_cpu_ns. A thread that ended in between is not counted."""
    return sum(ns - before.get(thread, 0) for thread, ns in after.items()) / 1e9


def memory_bytes(root):
    """Resident, proportional and anonymous bytes of the whole tree."""
    sums = {'Rss': 0, 'Pss': 0, 'Anonymous': 0}
    for pid in processes(root):
        try:
            text = _read(f'/proc/{pid}/smaps_rollup')
        except (FileNotFoundError, ProcessLookupError):
            continue  # It has ended since.
        for line in text.splitlines():
            name, _, value = line.partition(':')
            if name in sums:
                sums[name] += int(value.split()[0]) * 1024
    return sums


def kernel_slab_bytes():
    """Kernel objects of the whole machine: an estimate of what sockets cost, both ends."""
    for line in _read('/proc/meminfo').splitlines():
        if line.startswith('Slab:'):
            return int(line.split()[1]) * 1024
    return 0
