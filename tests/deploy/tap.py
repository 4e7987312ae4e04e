"""Test cases as functions, their results as TAP. A case fails by raising; Skip says why it could not be tried.

    with Cases() as cases:
        cases.run("the unit is sound", verify, "ringmaster.service")
"""

import sys
import time
import traceback


class Skip(Exception):
    pass


class Cases:
    def __init__(self):
        self.count = 0
        self.failed = 0

    def __enter__(self):
        return self

    def run(self, name, function, *arguments):
        self.count += 1
        begin = time.monotonic()
        try:
            function(*arguments)
            print(f"ok {self.count} - {name}", flush=True)
        except Skip as reason:
            print(f"ok {self.count} - {name} # SKIP {reason}", flush=True)
        except Exception:  # A case may fail in any way; the others run all the same.
            self.failed += 1
            print(f"not ok {self.count} - {name}", flush=True)
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
        if (seconds := time.monotonic() - begin) > 5:
            print(f"# {seconds:.0f} s", flush=True)

    def __exit__(self, kind, error, trace):
        if kind is None:
            print(f"1..{self.count}", flush=True)
            sys.exit(1 if self.failed else 0)


def expect(condition, *found):
    if not condition:
        raise AssertionError(" ".join(str(item) for item in found))
