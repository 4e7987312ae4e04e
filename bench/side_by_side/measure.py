"""The method: alternating slices for CPU, before and after for memory."""

import contextlib
import statistics
import tempfile
import time

import process_tree
import scenarios
from load_client import LoadClient, LoadError


def _start(stack, server, response_bytes):
    directory = stack.enter_context(tempfile.TemporaryDirectory(prefix='side_by_side.'))
    stack.callback(server.stop)
    server.start(directory, response_bytes)


def _run_slice(server, client, seconds):
    before = process_tree.thread_cpu_ns(server.pid)
    result = client.run_slice(seconds)
    # Every request was answered, so the server sleeps now and its figures stand still.
    cpu = process_tree.cpu_seconds_between(before, process_tree.thread_cpu_ns(server.pid))
    if result['answers'] == 0 or cpu <= 0:
        raise LoadError(f'{server.name}: {result["answers"]} answers in {cpu} s of server CPU')
    return {
        'answers': result['answers'],
        'seconds': result['seconds'],
        'server_cpu_seconds': cpu,
        'client_cpu_seconds': result['client_cpu_seconds'],
        'answers_per_cpu_second': result['answers'] / cpu,
    }


def efficiency(scenario, servers, options):
    """Answers per second of server CPU, A B A B ...; servers[0] is A, the others its peers."""
    load = scenarios.LOADS[scenario]
    clients = []
    answer_bytes = []
    with contextlib.ExitStack() as stack:
        for server in servers:
            # A peer that can is told to answer as many bytes as A does.
            wanted = answer_bytes[0] if answer_bytes and scenarios.is_http(scenario) else 0
            _start(stack, server, wanted)
            client = stack.enter_context(
                LoadClient(options.load_client, server.port, load, options.client_cpu))
            answer_bytes.append(client.wait_ready()['answer_bytes'])
            clients.append(client)
        for server, client in zip(servers, clients):
            _run_slice(server, client, options.seconds / 2)  # warm-up
        rounds = [[_run_slice(server, client, options.seconds)
                   for server, client in zip(servers, clients)] for _ in range(options.rounds)]

    result = {'scenario': scenario, 'servers': [], 'ratios': []}
    for i, server in enumerate(servers):
        slices = [slices[i] for slices in rounds]
        result['servers'].append({
            'name': server.name,
            'answer_bytes': answer_bytes[i],
            'answers_per_cpu_second':
                statistics.median(s['answers_per_cpu_second'] for s in slices),
            'answers_per_second': statistics.median(s['answers'] / s['seconds'] for s in slices),
            'server_busy':
                statistics.median(s['server_cpu_seconds'] / s['seconds'] for s in slices),
            'client_busy':
                statistics.median(s['client_cpu_seconds'] / s['seconds'] for s in slices),
            'slices': slices,
        })
    for i in range(1, len(servers)):
        ratios = [slices[0]['answers_per_cpu_second'] / slices[i]['answers_per_cpu_second']
                  for slices in rounds]
        result['ratios'].append({
            'peer': servers[i].name,
            'median': statistics.median(ratios),
            'min': min(ratios),
            'max': max(ratios),
        })
    return result


def _grow(server, options):
    with contextlib.ExitStack() as stack:
        _start(stack, server, 0)

        def client(*load):
            return LoadClient(options.load_client, server.port, load, options.client_cpu)

        # What a server sets up once (buffer pools, code pages) must not be charged to the
        # connections. Eight of them touch it all and are too few to leave room for thousands.
        with client('--mode', 'websocket', '--connections', '8', '--bytes', '16384') as warm_up:
            warm_up.wait_ready()
            warm_up.run_slice(0.3)
        time.sleep(0.2)
        before = process_tree.memory_bytes(server.pid)
        slab_before = process_tree.kernel_slab_bytes()
        with client('--mode', 'idle-websocket', '--connections',
                    str(options.idle_connections)) as idle:
            idle.wait_ready()
            time.sleep(0.2)
            after = process_tree.memory_bytes(server.pid)
            slab_after = process_tree.kernel_slab_bytes()
        time.sleep(0.5)
        closed = process_tree.memory_bytes(server.pid)
    count = options.idle_connections
    growth = {name: (after[name] - before[name]) / count for name in before}
    growth['kernel_slab'] = (slab_after - slab_before) / count
    growth['left_after_close'] = (closed['Pss'] - before['Pss']) / count
    return growth


def idle_memory(servers, options):
    """Bytes a server grows by for each idle WebSocket, in a fresh process each time."""
    rounds = [[_grow(server, options) for server in servers]
              for _ in range(min(options.rounds, 3))]
    result = {'scenario': scenarios.IDLE_WEBSOCKET, 'connections': options.idle_connections,
              'servers': []}
    for i, server in enumerate(servers):
        growths = [growths[i] for growths in rounds]
        result['servers'].append({
            'name': server.name,
            'bytes_per_connection': {
                name: statistics.median(growth[name] for growth in growths)
                for name in growths[0]
            },
            'rounds': growths,
        })
    return result
