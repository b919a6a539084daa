"""One family of exceptions, each with the mend in its message; the command line turns them into exit codes."""


class BertwrightError(Exception):
    """Something this project can say plainly. `exit_code` is what the command line ends with."""

    exit_code = 1


class InputError(BertwrightError):
    """What the user gave cannot be used: one line for each problem, all of them at once."""

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        if not problems:
            raise ValueError("an InputError needs at least one problem")
        self.problems = problems
        super().__init__("\n".join(problems))


class CheckpointError(InputError):
    """A checkpoint or run folder that cannot be read as it stands."""


class NonFiniteError(BertwrightError):
    """A loss or a gradient that is not a number: raised before the update, names step and sample indices."""


class OutOfMemory(BertwrightError):
    """A pass needs more memory than there is: raised before the update, with nothing changed."""


class Interrupted(BertwrightError):
    """A signal stopped the work after it was saved; `exit_code` is 128 + the signal's number."""

    def __init__(self, signal_number: int, message: str) -> None:
        self.exit_code = 128 + signal_number
        super().__init__(message)
