"""How fast outputs move to a bucket and back: 200 MB in 13 files, against moto's server on the same machine."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import boto3
import numpy as np
from reporting import table, write_page

from flows.local.servers import free_port
from nli_core.remote.bucket import Bucket
from nli_core.remote.outputs import RemoteOutputs
from nli_core.store.manifest import Output
from nli_core.store.store import Store

REPEATS = 5
SIZES = [120_000_000, 40_000_000, *[4_000_000] * 9, 3_900_000, 100_000]  # a model, a vocabulary, shards, small files
BUCKET = "bench"


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the clock, and of this process' CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def make(folder: Path, number: int) -> Output:
    """An output of random bytes."""
    random = np.random.default_rng(number)
    with Store(folder).claim("finetune", {"number": number}) as claim:
        for index, size in enumerate(SIZES):
            (claim.partial / f"file-{index:02d}").write_bytes(random.bytes(size))
        return claim.complete({})


def main() -> None:
    address = f"http://127.0.0.1:{free_port()}"
    os.environ |= {"AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
    os.environ |= {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
    command = [str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", address.rpartition(":")[2]]
    seconds: dict[str, list[tuple[float, float]]] = {"push": [], "push again": [], "pull": []}
    with tempfile.TemporaryDirectory() as name, subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        while server.poll() is None and not answers(address):
            time.sleep(0.1)
        boto3.client("s3", endpoint_url=address).create_bucket(Bucket=BUCKET)
        remote = RemoteOutputs(Bucket(f"s3://{BUCKET}/nli", setting="NLI_REMOTE"))
        for number in range(REPEATS):
            output = make(Path(name) / "store", number)
            for way in ("push", "push again"):
                seconds[way].append(timed(lambda: remote.push(output)))  # noqa: B023  # called now
            seconds["pull"].append(timed(lambda: remote.pull(output.manifest, Path(name) / str(number))))  # noqa: B023
            print({way: each[-1] for way, each in seconds.items()}, file=sys.stderr)
        server.terminate()
    rows = []
    for way, measured in seconds.items():
        wall, cpu = (statistics.median(each[index] for each in measured) for index in (0, 1))
        rows.append((way, f"{wall:.2f}", f"{sum(SIZES) / 1e6 / wall:,.0f}", f"{cpu:.2f}"))
    write_page(
        "bucket",
        "A bucket behind the store",
        f"An output of {sum(SIZES) / 1e6:.0f} MB in {len(SIZES)} files of random bytes, medians of {REPEATS}. moto's "
        "server runs on the same cores, so that the figures are a lower bound of ours and say nothing of S3. `push "
        "again` finds every file there. `CPU` is that of our process alone.",
        table(("way", "seconds", "MB/s", "CPU, s"), rows),
    )


def answers(address: str) -> bool:
    try:
        return bool(urllib.request.urlopen(f"{address}/moto-api/", timeout=2))
    except OSError:
        return False


if __name__ == "__main__":
    main()
