"""Depth of many pictures, each shard a task of Ray: python examples/many_machines.py PHOTOS OUT, where all see both."""

import sys

import ray.data

from lookharder import cli


def main(photos: str, out: str, shards: int = 8, model: str = "sight") -> list[int]:
    """Predict a folder; returns the exit code of each shard."""
    line = ["predict", "depth", photos, "--model", model, "--out", out, "--shard"]
    tasks = ray.data.range(shards, override_num_blocks=shards)
    done = tasks.map(lambda row: {"code": cli.main([*line, f"{row['id']}/{shards}"])})
    return [row["code"] for row in done.take_all()]


if __name__ == "__main__":
    main(*sys.argv[1:])
