"""Packing challenge sets: each in a folder of its own, with the tokenizer that packed the corpus.

NAME/test-00000.arrow  its examples, whose labels are those of the set.
NAME/text-test.arrow   its text, and the column `group` where the set has groups.
NAME/meanings.json     what each of its labels means, in labels of the model.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from nli_core.config import PackConfig
from nli_core.data.corpus.challenge import GROUP, ChallengeTable
from nli_core.data.corpus.challenge_rows import clean_challenge, groups, meanings
from nli_core.data.corpus.locate import Source
from nli_core.data.examples.shards import shard_name
from nli_core.data.shard_job import RunJobs, ShardJob
from nli_core.filenames import MEANINGS, text_name

_SCRATCH = "scratch"


def pack_challenges(
    tables: Sequence[ChallengeTable],
    files: Path,
    tokenizer: Path,
    labels: Sequence[str],
    config: PackConfig,
    *,
    out: Path,
    run_jobs: RunJobs,
    names: Mapping[str, str],
) -> dict[str, Any]:
    """Leave a folder for each challenge set in `out`; returns the facts.

    `files` is the folder that their download left, `labels` are the model's, and `names` is what errors call each
    set's file. `run_jobs` is as for `pack`.

    Raises:
        UserError: a fault in the data, or a label without a meaning for the model.
    """
    shutil.rmtree(out)
    jobs, facts = [], {}
    for table in tables:
        folder, source = out / table.name, Source(files / table.name / table.layout.files["test"], names[table.name])
        (folder / _SCRATCH).mkdir(parents=True)
        means = meanings(table, source, labels)
        clean = clean_challenge(table, files / table.name, tuple(means), folder / _SCRATCH, source.name)
        text = pl.concat([pl.DataFrame(batch) for batch in clean.batches()])
        if table.group is not None:
            text = text.with_columns(groups(table, source, text["id"]).alias(GROUP))
        text.write_ipc(folder / text_name("test"), compat_level=pl.CompatLevel.oldest())
        (folder / MEANINGS).write_text(json.dumps(means, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        for index, start in enumerate(range(0, clean.rows, config.rows_per_shard)):
            rows = min(config.rows_per_shard, clean.rows - start)
            target = folder / shard_name("test", index)
            jobs.append(ShardJob("test", clean.path, start, rows, target, tokenizer, tuple(means), config))
        facts[table.name] = {"rows": clean.rows, "dropped": clean.dropped, "means": means}
    run_jobs(jobs)
    for table in tables:
        shutil.rmtree(out / table.name / _SCRATCH)
    return facts
