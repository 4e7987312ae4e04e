"""A ringmaster that only pretends: the commands that deploy/deploy calls, on a state in $FAKE_STATE (JSON). What it does is
decided by its VARIANT, which is a line of its own file, so that another file in its place is another program.

Variants: good; check (refuses the configuration); abandoned (does not get ready); and those that get ready and are then
not well: errors, stalls, restarts, stuck, starting (a worker never gets ready), gone (the master dies), other (a later
reload by somebody else), blip (does not answer once), drained (errors, once the old generation has gone with its counters).
"""

import json
import os
import pathlib
import sys

VARIANT = "good"
STATE = pathlib.Path(os.environ["FAKE_STATE"])


def load():
    return json.loads(STATE.read_text())


def save(state):
    temporary = STATE.with_suffix(".new")
    temporary.write_text(json.dumps(state))
    temporary.replace(STATE)


def reload(command):
    state = load()
    state["commands"].append(f"{command} {VARIANT}")
    # Programs whose reload is to fail although they are good: the old one, when it is put back.
    refused = VARIANT == "abandoned" or state["generation"] >= state.get("last_generation", 1 << 30)
    if refused:
        state["reload"] = {"state": "idle", "last_result": "abandoned", "last_reason": "worker 0 was not ready in 10s"}
        save(state)
        print("error: the reload was abandoned", file=sys.stderr)
        return 1
    state["generation"] += 1
    state["serving"] = VARIANT
    state["looks"] = 0
    state["reload"] = {"state": "idle", "last_result": "done", "last_generation": state["generation"]}
    save(state)
    return 0


def status():
    state = load()
    state["looks"] += 1
    save(state)
    looks = state["looks"]
    serving = state["serving"]
    if serving == "gone" and looks > 1 or serving == "blip" and looks == 2:
        print("error: ringmaster is not running", file=sys.stderr)
        return 3
    counters = {
        "http_requests": 1000 * looks,
        "http_responses_5xx": (100 if serving == "errors" else 1) * looks,
        "handler_exceptions": 0,
        "handler_stalls": looks if serving == "stalls" else 0,
    }
    if serving == "drained":
        counters["http_requests"] += 0 if looks > 3 else 10_000_000
        counters["http_responses_5xx"] = 100 * (looks - 3) if looks > 3 else 5000
    worker = {"state": "starting" if serving == "starting" else "ready", "stuck_replaced": 0}
    if serving == "stuck" and looks > 2:
        worker["stuck_replaced"] = 1
    print(
        json.dumps(
            {
                "generation": state["generation"] + (1 if serving == "other" and looks > 2 else 0),
                "reload": state.get("reload", {"state": "idle"}),
                "workers": [worker],
                "admin": {"address": f"unix:{STATE.parent}/admin.sock"},
                "totals": {"restarts": looks if serving == "restarts" else 0, "counters": counters},
            }
        )
    )
    return 0


def main():
    command = sys.argv[1]
    if command == "--version":
        print(f"ringmaster {VARIANT}")
        return 0
    if command == "check":
        if VARIANT == "check":
            print('error: server.json:3: "lissteners" is no key', file=sys.stderr)
            return 1
        return 0
    if command in ("reload", "upgrade"):
        assert sys.argv[2] == "--wait", sys.argv
        return reload(command)
    assert command == "status" and sys.argv[2] == "--json", sys.argv
    return status()


sys.exit(main())
