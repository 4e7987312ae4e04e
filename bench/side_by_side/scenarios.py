"""What is measured: each scenario is a load, said in the load client's own flags."""

IDLE_CONNECTIONS = 10_000

LOADS = {
    'http-64': ['--mode', 'http', '--connections', '64'],
    'http-512': ['--mode', 'http', '--connections', '512'],
    'pipelined-16': ['--mode', 'http', '--connections', '64', '--pipeline', '16'],
    'close-64': ['--mode', 'close', '--connections', '64'],
    'websocket-20': ['--mode', 'websocket', '--connections', '200', '--bytes', '20'],
    'websocket-16k': ['--mode', 'websocket', '--connections', '50', '--bytes', '16384'],
    # Against command: servers only; neither nginx nor the stock server speaks it.
    'tcp-echo-64': ['--mode', 'tcp-echo', '--connections', '64', '--bytes', '64'],
}

# Memory per idle connection instead of CPU per request.
IDLE_WEBSOCKET = 'idle-websocket'

ALL = [*LOADS, IDLE_WEBSOCKET]
DEFAULT = [name for name in ALL if name not in ('tcp-echo-64', 'close-64')]


def possible(scenario, server):
    """nginx has no WebSocket of its own."""
    return not (server.kind.startswith('nginx') and 'websocket' in scenario)


def is_http(scenario):
    return scenario in ('http-64', 'http-512', 'pipelined-16', 'close-64')
