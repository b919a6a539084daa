"""A checkpoint on the Hugging Face hub: its files but for what a resume alone needs."""

from dataclasses import dataclass
from pathlib import Path

from bertwright.errors import BertwrightError, InputError

# What stands beside a model's files: the optimizer and the run's state, and anything hidden.
KEPT_BACK = ["training/*", ".*", "*/.*"]


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """The repository's whole name, its address in a browser, and the commit."""

    name: str
    address: str
    commit: str


def push_checkpoint(
    folder: Path, name: str, *, private: bool | None = None, revision: str | None = None, message: str | None = None, endpoint: str | None = None
) -> Pushed:
    """Uploads a checkpoint folder in one commit, into a repository that is made where there is none.

    name: OWNER/NAME, or NAME for the owner of the token; private: of a new repository; revision: a branch, made where there is none; endpoint: the hub's
    address, by default huggingface_hub's own. Raises InputError for a name that cannot be one, and where there is no token; BertwrightError where the hub
    refuses or does not answer.
    """
    # Imported only here: it takes a quarter of a second.
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError: of its HTTP library, which changes with its version
        HfHubHTTPError,
        HFValidationError,
        HTTPError,
    )

    if get_token() is None:
        raise InputError("there is no Hugging Face token: log in with `hf auth login`, or set HF_TOKEN to one that may write")
    hub = HfApi(endpoint=endpoint, library_name="bertwright")
    try:
        made = hub.create_repo(name, private=private, exist_ok=True).repo_id
        if revision is not None:
            hub.create_branch(made, branch=revision, exist_ok=True)
        done = hub.upload_folder(
            repo_id=made,
            folder_path=folder,
            revision=revision,
            ignore_patterns=KEPT_BACK,
            commit_message=message or f"{folder.name}, by bertwright",
        )
    except HFValidationError as error:
        raise InputError(f"{name} is no name of a repository ({_first_line(error)}): take OWNER/NAME") from None
    except HfHubHTTPError as error:
        raise BertwrightError(f"{hub.endpoint} refuses {name}: {_reason(error.response.status_code, _first_line(error))}") from None
    except (HTTPError, OSError) as error:
        raise BertwrightError(f"{hub.endpoint} cannot be reached ({_first_line(error)}): look at the network, and try again") from None
    except RuntimeError as error:  # what the library makes of whatever goes wrong with a large file
        raise BertwrightError(f"{hub.endpoint} did not take every file of {folder} ({_first_line(error)}): try again") from error
    where = f"{hub.endpoint}/{made}"
    return Pushed(name=made, address=where if revision is None else f"{where}/tree/{revision}", commit=done.oid)


def _reason(status: int, said: str) -> str:
    if status == 401:
        return "the token is not known there: log in with `hf auth login`, or set HF_TOKEN"
    if status == 403:
        return "the token may not write there: take one that may, or another owner"
    return said


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
