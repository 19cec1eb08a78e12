"""The errors that a person can cause, each one paragraph: where, expected, found, what to do."""

from __future__ import annotations


class AxiographError(Exception):
    """An error whose message a person can act on; the command line prints it without a traceback.

    `where` names the file, line or field, `expected` and `found` complete the sentences
    "expected …" and "found …", `remedy` is a full sentence that says what to do.
    """

    exit_code = 1

    def __init__(self, where: str, expected: str, found: str, remedy: str) -> None:
        self.where, self.expected, self.found, self.remedy = where, expected, found, remedy
        super().__init__(f"{where}: expected {expected}, found {found}. {remedy}")

    def __reduce__(self) -> tuple[type[AxiographError], tuple[str, str, str, str]]:
        # Workers run in other processes; the default pickling would call __init__ with one string.
        return type(self), (self.where, self.expected, self.found, self.remedy)


class InputError(AxiographError):
    """The study, a file it names or the command line is wrong: nothing was run (exit code 2)."""

    exit_code = 2


class RunError(AxiographError):
    """A run or a check failed after it had started; what is stored stays stored (exit code 1)."""

    exit_code = 1


class BrokenEngineError(RunError):
    """The engine of a worker is of no more use, for a reason that need not lie in its requests: another
    worker may answer them."""
