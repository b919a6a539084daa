"""What `bertwright bench` starts as processes of their own: `python -m bertwright.cli.bench_child train SETTING OUTCOME`, or `score FOLDER SHARDS`."""

import sys
from pathlib import Path


def main() -> None:
    role, first, second = sys.argv[1:]
    if role == "train":
        from bertwright.bench.contest import Setting, write
        from bertwright.bench.ours import run

        write(Path(second), run(Setting.read(Path(first))))
        return
    from bertwright.bench.scoring import masked_rows, score
    from bertwright.data.shards import TokenShards

    loss, accuracy = score(first, *masked_rows(TokenShards.open(second)))
    print(f"masked loss {loss:.4f} nats, accuracy {accuracy:.4f}")


if __name__ == "__main__":
    main()
