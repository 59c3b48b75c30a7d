"""Prints TAP 13: for unittest cases, and for whoever has results of his own."""

import sys
import unittest


class Writer:
    """A TAP stream. The plan comes first, so that a run that dies is seen."""

    def __init__(self, plan, out=None):
        self.out = out or sys.stdout
        self.plan = plan
        self.number = 0
        self.passed = 0
        self.failed = 0
        self.skipped = 0
        self.line("TAP version 13")
        self.line(f"1..{plan}")

    def line(self, text):
        print(text, file=self.out, flush=True)

    def point(self, name, passed, details=(), skip=None):
        """One test point; details become the YAML block of a failure."""
        self.number += 1
        word = "ok" if passed else "not ok"
        self.line(f"{word} {self.number} - {name}" + (f" # SKIP {skip}" if skip else ""))
        self.passed += passed and not skip
        self.skipped += bool(passed and skip)
        self.failed += not passed
        if not passed:
            self.line("  ---\n  notes: |")
            for detail in details:
                for text in str(detail).splitlines():
                    self.line(f"    {text}")
            self.line("  ...")

    def finish(self):
        """The counts as a remark; True when everything passed."""
        self.line(f"# {self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        return self.failed == 0 and self.number == self.plan


class Result(unittest.TestResult):
    """Writes each unittest case as a test point."""

    def __init__(self, writer, prefix):
        super().__init__()
        self.writer = writer
        self.prefix = prefix

    def name(self, test):
        group = type(test).__name__.removesuffix("Tests").lower()
        method = getattr(test, "_testMethodName", "set_up")
        return f"{self.prefix}/{group}/{method.removeprefix('test_')}"

    def addSuccess(self, test):
        self.writer.point(self.name(test), True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.writer.point(self.name(test), False, [self.failures[-1][1]])

    def addError(self, test, err):
        super().addError(test, err)
        self.writer.point(self.name(test), False, [self.errors[-1][1]])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.writer.point(self.name(test), True, skip=reason)


def main(module, prefix):
    """Runs the unittest cases of a module; the exit status. Arguments choose by parts of names."""
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    cases = [case for group in suite for case in group
             if not sys.argv[1:] or any(word in case.id() for word in sys.argv[1:])]
    writer = Writer(len(cases))
    result = Result(writer, prefix)
    for case in cases:
        case.run(result)
    return 0 if writer.finish() and cases else 1


if __name__ == "__main__":
    import test_scripts

    sys.exit(main(test_scripts, "scripts"))
