"""`bertwright push`: a checkpoint to the Hugging Face hub."""

import json as json_format
import sys

from bertwright.cli.options import Flag


def push(checkpoint: str, name: str, /, *, private: Flag = False, revision: str | None = None, message: str | None = None, json: Flag = False) -> None:
    """Upload a checkpoint with its model card to the Hugging Face hub, or to the hub that HF_ENDPOINT names.

    The token is that of `hf auth login`, or HF_TOKEN. Of a run folder the best checkpoint goes up, without what a resume alone needs.

    Args:
        checkpoint: run folder or checkpoint folder.
        name: repository, OWNER/NAME, or NAME for the token's owner; made where there is none.
        private: nobody else may see a repository that is made.
        revision: branch, made where there is none; the main one unless given.
        message: of the commit.
        json: one JSON object on standard output.
    """
    from bertwright.checkpoints.push import push_checkpoint
    from bertwright.checkpoints.resolve import find_checkpoint

    found = find_checkpoint(checkpoint)
    print(found.said, file=sys.stderr)
    pushed = push_checkpoint(found.folder, name, private=private or None, revision=revision, message=message)
    print(json_format.dumps(vars(pushed)) if json else pushed.address)
