"""Test cases as functions, their results as TAP. A case fails by raising; Skip says why it could not be tried.

    with Cases() as cases:
        cases.run("the unit is sound", verify, "ringmaster.service")
"""

import concurrent.futures
import sys
import threading
import time
import traceback


LOCK = threading.Lock()


class Skip(Exception):
    pass


class Cases:
    """`at_once`: how many run at the same time, for cases that mostly wait and share nothing."""

    def __init__(self, at_once=1):
        self.pool = concurrent.futures.ThreadPoolExecutor(at_once) if at_once > 1 else None
        self.count = 0
        self.failed = 0

    def __enter__(self):
        return self

    def run(self, name, function, *arguments):
        if self.pool:
            self.pool.submit(self._run, name, function, arguments)
        else:
            self._run(name, function, arguments)

    def _run(self, name, function, arguments):
        begin = time.monotonic()
        lines = []
        good, directive = "ok", ""
        try:
            function(*arguments)
        except Skip as reason:
            directive = f" # SKIP {reason}"
        except Exception:  # A case may fail in any way; the others run all the same.
            good = "not ok"
            lines = traceback.format_exc().splitlines()
        if (seconds := time.monotonic() - begin) > 5:
            lines.append(f"{seconds:.0f} s")
        with LOCK:
            self.count += 1
            self.failed += good != "ok"
            print(f"{good} {self.count} - {name}{directive}")
            for line in lines:
                print(f"# {line}")
            sys.stdout.flush()

    def __exit__(self, kind, error, trace):
        if self.pool:
            self.pool.shutdown(cancel_futures=kind is not None)
        if kind is None:
            print(f"1..{self.count}", flush=True)
            sys.exit(1 if self.failed else 0)


def expect(condition, *found):
    if not condition:
        raise AssertionError(" ".join(str(item) for item in found))
