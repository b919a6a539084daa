"""The command `bertwright`, also as `python -m bertwright` (and so under torchrun)."""

import os
import signal
import sys

from cyclopts import CycloptsError

from bertwright.cli.app import COMMANDS, run, usage_problem
from bertwright.cli.config_file import ConfigFile, take_config_option
from bertwright.errors import BertwrightError, InputError, Interrupted

FAILURE, USAGE = 1, 2


def main() -> int:
    """Runs the command line; returns the exit code: 0, 1 a failure, 2 usage or input, 130 or 143 after a signal, 141 when nobody reads the output."""
    try:
        tokens, path = take_config_option(sys.argv[1:])
        run(tokens, ConfigFile(path, commands=[command.name for command in COMMANDS]) if path else None)
        sys.stdout.flush()
    except CycloptsError as error:
        return _complain(usage_problem(error), code=USAGE)
    except InputError as error:
        return _complain(*error.problems, code=error.exit_code)
    except Interrupted as stopped:
        print(stopped, file=sys.stderr)
        return stopped.exit_code
    except BertwrightError as error:
        return _complain(str(error), code=error.exit_code)
    except BrokenPipeError:
        # The reader has left (`| head`): keep the interpreter from complaining about it again when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        # What the system refuses: a full disk, a folder without permission.
        where = f"{error.filename}: " if error.filename else ""
        return _complain(f"{where}{error.strerror or error}", code=FAILURE)
    except KeyboardInterrupt:
        return _complain("interrupted", code=128 + signal.SIGINT)
    return 0


def _complain(*problems: str, code: int) -> int:
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
