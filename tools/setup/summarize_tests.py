"""Sums up the test runs of tools/check. The last line printed is "N passed, N failed, N skipped".

The argument is a directory with
  steps           one line a step: "passed NAME" or "failed NAME"
  runs            one line a `meson test`: "LABEL EXIT_STATUS"
  LABEL.junit.xml Meson's report of that run; it holds every single GoogleTest and TAP test case
Exit status: 0 if nothing failed, else 1.
"""

import pathlib
import sys
import xml.etree.ElementTree as ElementTree


class Totals:
    def __init__(self):
        self.passed = 0
        self.skipped = 0
        self.failures = []
        self.skips = []

    def add_step(self, outcome, name):
        if outcome == "passed":
            self.passed += 1
        else:
            self.failures.append(f"step: {name}")

    def add_case(self, label, suite, case):
        name = f"{label}: {suite}: {case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            self.failures.append(name)
        elif case.find("skipped") is not None or case.get("status") == "notrun":
            self.skipped += 1
            self.skips.append(name)
        else:
            self.passed += 1

    # A program can pass every case and still fail, by a leak found at its exit or a time limit; Meson's exit status
    # knows. A run without a report never counts as passed.
    def add_run(self, label, status, report):
        failures_before = len(self.failures)
        if report.is_file():
            for suite in ElementTree.parse(report).getroot().iter("testsuite"):
                for case in suite.findall("testcase"):
                    self.add_case(label, suite.get("name"), case)
        elif status == 0:
            return  # No test is registered for this suite.
        if status != 0 and len(self.failures) == failures_before:
            self.failures.append(f"{label}: the run failed with status {status}, see its output above")


def read_lines(path):
    return path.read_text().splitlines() if path.is_file() else []


def main():
    results = pathlib.Path(sys.argv[1])
    totals = Totals()
    for line in read_lines(results / "steps"):
        totals.add_step(*line.split(" ", 1))
    for line in read_lines(results / "runs"):
        label, status = line.rsplit(" ", 1)
        totals.add_run(label, int(status), results / f"{label}.junit.xml")

    for name in totals.skips:
        print(f"skipped: {name}")
    for name in totals.failures:
        print(f"FAILED: {name}")
    print(f"{totals.passed} passed, {len(totals.failures)} failed, {totals.skipped} skipped")
    return 1 if totals.failures else 0


if __name__ == "__main__":
    sys.exit(main())
