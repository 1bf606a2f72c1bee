import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from nli_core.config import PackConfig
from nli_core.data.corpus.layout import CorpusLayout
from nli_core.data.examples.encode import EncodedTexts, Texts, encode_texts
from nli_core.data.examples.shards import ShardSet
from nli_core.data.pack import pack
from nli_core.data.pack_shard import pack_shard
from nli_core.data.shard_job import ShardFacts, ShardJob
from nli_core.data.tokenize.tokenizer import Tokenizer
from nli_core.download.corpora.sample import SampleCorpus
from nli_core.download.corpora.snli import SnliCorpus
from nli_core.download.fetch import Fetcher
from nli_core.errors import UserError

LAYOUT = SampleCorpus().layout


def _in_turn(jobs: Sequence[ShardJob]) -> list[ShardFacts]:
    return [pack_shard(job) for job in jobs]


def _on_threads_backwards(jobs: Sequence[ShardJob]) -> list[ShardFacts]:
    with ThreadPoolExecutor(3) as executor:
        return list(executor.map(pack_shard, reversed(jobs)))[::-1]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    out = tmp_path / "corpus"
    out.mkdir()
    SampleCorpus(pairs=360).download(out, Fetcher(tmp_path, tmp_path))
    return out


def _pack(
    corpus: Path,
    encoder: Path,
    out: Path,
    run_jobs: Any = _in_turn,
    layout: CorpusLayout = LAYOUT,
    positions: int | None = None,
    **fields: Any,
) -> dict[str, Any]:
    out.mkdir()
    config = PackConfig(**{"max_length": 64, **fields})
    return pack(corpus, layout, encoder, config, out=out, run_jobs=run_jobs, positions=positions)


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_bytes_do_not_depend_on_the_workers(tmp_path: Path, corpus: Path, tiny_encoder: Path) -> None:
    one = _pack(corpus, tiny_encoder, tmp_path / "one", rows_per_shard=50)
    many = _pack(corpus, tiny_encoder, tmp_path / "many", _on_threads_backwards, rows_per_shard=50)
    assert one == many
    files = _bytes(tmp_path / "one")
    assert files == _bytes(tmp_path / "many")
    assert sorted(files) == [
        *(f"dev-0000{i}.arrow" for i in (0, 1)),
        *(f"test-0000{i}.arrow" for i in (0, 1)),
        "text-dev.arrow",
        "text-test.arrow",
        "tokenizer/vocab.txt",
        *(f"train-0000{i}.arrow" for i in range(5)),
    ]


def test_the_number_of_shards_does_not_change_the_examples(tmp_path: Path, corpus: Path, tiny_encoder: Path) -> None:
    _pack(corpus, tiny_encoder, tmp_path / "one")
    _pack(corpus, tiny_encoder, tmp_path / "many", rows_per_shard=7)
    one, many = ShardSet(tmp_path / "one", "train"), ShardSet(tmp_path / "many", "train")
    assert len(one) == len(many) == 240
    for name in ("ids", "targets"):
        assert np.array_equal(getattr(one, name), getattr(many, name))
    for name in ("input_ids", "lengths", "boundaries"):
        assert np.array_equal(getattr(one.examples, name), getattr(many.examples, name))


def test_long_texts_are_tokenized_a_part_of_the_file_at_a_time(
    tmp_path: Path, corpus: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pack(corpus, tiny_encoder, tmp_path / "one", rows_per_shard=50)
    at_once: list[int] = []

    def encode(tokenizer: Tokenizer, premises: Texts, *others: Any, **options: Any) -> EncodedTexts:
        at_once.append(len(premises.raw))
        return encode_texts(tokenizer, premises, *others, **options)

    monkeypatch.setattr("nli_core.data.pack_shard.encode_texts", encode)
    monkeypatch.setattr("nli_core.data.examples.encode.encode_texts", encode)
    monkeypatch.setattr("nli_core.data.corpus.reading._PART_BYTES", 1_000)
    _pack(corpus, tiny_encoder, tmp_path / "many", rows_per_shard=50)
    one, many = (_bytes(tmp_path / name) for name in ("one", "many"))
    for name in ("text-dev.arrow", "text-test.arrow"):  # whose batches are those parts
        assert pl.read_ipc(one.pop(name)).equals(pl.read_ipc(many.pop(name)))
    assert one == many
    assert (sum(at_once), max(at_once) < 20) == (360 + 1, True)  # and the pair that loads the compiled loops


def test_the_text_of_earlier_parts_is_no_longer_in_memory(
    tmp_path: Path, corpus: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []

    def encode(tokenizer: Tokenizer, premises: Texts, hypotheses: Texts, *others: Any, **options: Any) -> EncodedTexts:
        held.append(pa.total_allocated_bytes())
        short = Texts(pc.utf8_slice_codeunits(premises.raw, 0, 50))
        return encode_texts(tokenizer, short, hypotheses, *others, **options)

    monkeypatch.setattr("nli_core.data.pack_shard.encode_texts", encode)
    rows = pl.read_ndjson(corpus / "train.jsonl")
    rows.with_columns(pl.lit("x" * 500_000).alias("premise")).write_ndjson(corpus / "train.jsonl")
    _pack(corpus, tiny_encoder, tmp_path / "out")
    assert len(held) > 20
    assert max(held) - min(held) < 30 << 20  # of 120 MB


def test_a_shard_is_ragged_and_small_and_says_what_it_is(tmp_path: Path, corpus: Path, tiny_encoder: Path) -> None:
    facts = _pack(corpus, tiny_encoder, tmp_path / "out")
    with pa.memory_map(str(tmp_path / "out" / "train-00000.arrow")) as source:
        schema = pa.ipc.open_file(source).schema
    assert schema.field("input_ids").type == pa.list_(pa.uint16())
    assert schema.field("boundary").type == pa.uint8()
    shards = ShardSet(tmp_path / "out", "train")
    assert shards.labels == ("entailment", "contradiction", "neutral")
    assert facts["vocabulary_size"] == Tokenizer(tmp_path / "out" / "tokenizer").vocabulary_size
    histogram = facts["splits"]["train"].pop("length_histogram")
    starts = np.array([start for start, _ in histogram])
    assert np.diff(starts).tolist() == [2] * 32
    expected = np.bincount(np.searchsorted(starts, shards.examples.lengths, side="right") - 1, minlength=33)
    assert [count for _, count in histogram] == expected.tolist()
    assert facts["splits"]["train"] == {
        "rows": 240,
        "tokens": int(shards.examples.lengths.sum()),
        "length_percentiles": {
            share: int(np.percentile(shards.examples.lengths, int(share), method="inverted_cdf"))
            for share in ("50", "90", "99", "100")
        },
        "truncated_examples": 0,
        "truncated_tokens": 0,
        "labels": {"entailment": 80, "contradiction": 80, "neutral": 80},
        "dropped": {},
    }
    assert facts["examples_in_earlier_split"] == {"dev": 0, "test": 0}


def test_a_padded_batch_holds_the_ragged_examples(tmp_path: Path, corpus: Path, tiny_encoder: Path) -> None:
    _pack(corpus, tiny_encoder, tmp_path / "out")
    examples = ShardSet(tmp_path / "out", "dev").examples
    starts = np.cumsum(examples.lengths) - examples.lengths
    batch = examples.batch(np.array([5, 0, 11]))
    for row, place in enumerate((5, 0, 11)):
        length, boundary = int(examples.lengths[place]), int(examples.boundaries[place])
        ids = examples.input_ids[starts[place] : starts[place] + length].tolist()
        padding = batch.input_ids.shape[1] - length
        assert batch.input_ids[row].tolist() == ids + [examples.pad_id] * padding
        assert batch.token_type_ids[row].tolist() == [0] * boundary + [1] * (length - boundary) + [0] * padding
        assert batch.lengths[row] == length


def test_truncation_is_counted(tmp_path: Path, corpus: Path, tiny_encoder: Path) -> None:
    facts = _pack(corpus, tiny_encoder, tmp_path / "out", max_length=16)["splits"]["train"]
    assert facts["length_percentiles"]["100"] == 16
    assert 0 < facts["truncated_examples"] <= 240
    assert facts["truncated_tokens"] > facts["truncated_examples"]


def test_the_real_counts_of_snli(tmp_path: Path, shared_data: Path, tiny_encoder: Path) -> None:
    source = SnliCorpus(source=str(shared_data / "snli_1.0_subset.zip"))
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    source.download(corpus, Fetcher(tmp_path, tmp_path))
    facts = _pack(corpus, tiny_encoder, tmp_path / "out", layout=source.layout, max_length=128)["splits"]
    assert {split: known["rows"] for split, known in facts.items()} == {"train": 21_638, "dev": 9_842, "test": 9_824}
    assert {split: known["dropped"] for split, known in facts.items()} == {
        "train": {},
        "dev": {"label -": 158},
        "test": {"label -": 176},
    }


def test_a_length_above_the_encoders_positions_is_refused(tmp_path: Path, corpus: Path, tiny_encoder: Path) -> None:
    with pytest.raises(UserError, match=r"pack\.max_length: 256 is above the encoder's 128 positions"):
        _pack(corpus, tiny_encoder, tmp_path / "out", max_length=256, positions=128)


def test_a_tokenizer_that_does_not_fit_the_encoder_is_refused(tmp_path: Path, corpus: Path, shared_data: Path) -> None:
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    (encoder / "vocab.txt").write_bytes((shared_data / "bert-base-uncased" / "vocab.txt").read_bytes())
    (encoder / "config.json").write_text('{"vocab_size": 100, "max_position_embeddings": 512}')
    with pytest.raises(UserError, match="has ids up to 30521, the encoder knows 100 tokens"):
        _pack(corpus, encoder, tmp_path / "out")


def test_a_class_without_training_examples_is_refused(tmp_path: Path, corpus: Path, tiny_encoder: Path) -> None:
    layout = LAYOUT.model_copy(update={"labels": (*LAYOUT.labels, "paradox")})
    with pytest.raises(UserError, match="no example of the label 'paradox'"):
        _pack(corpus, tiny_encoder, tmp_path / "out", layout=layout)


def test_a_missing_split_is_refused(tmp_path: Path, corpus: Path, tiny_encoder: Path) -> None:
    files = {split: name for split, name in LAYOUT.files.items() if split != "dev"}
    with pytest.raises(UserError, match="there is no dev split"):
        _pack(corpus, tiny_encoder, tmp_path / "out", layout=LAYOUT.model_copy(update={"files": files}))


def test_examples_in_two_splits_are_reported_or_refused(tmp_path: Path, corpus: Path, tiny_encoder: Path) -> None:
    layout = LAYOUT.model_copy(update={"files": {**LAYOUT.files, "test": LAYOUT.files["train"]}})
    facts = _pack(corpus, tiny_encoder, tmp_path / "one", layout=layout)
    assert facts["examples_in_earlier_split"] == {
        "dev": 0,
        "test": 240,
    }
    with pytest.raises(UserError, match=r"test: 240 of 240 examples are in an earlier split .* pack\.shared_examples"):
        _pack(corpus, tiny_encoder, tmp_path / "two", layout=layout, shared_examples="error")


def test_packing_imports_neither_torch_nor_pandas_nor_linear_algebra(
    tmp_path: Path, corpus: Path, tiny_encoder: Path
) -> None:
    """Each takes a good part of a second, and a corpus of half a million rows a second and a half."""
    code = (
        "import sys; from pathlib import Path; from nli_core.config import PackConfig;"
        "from nli_core.data.pack import pack;"
        "from nli_core.data.pack_shard import pack_shard;"
        "from nli_core.download.corpora.sample import SampleCorpus;"
        "from nli_core.model.families.registry import read_architecture;"
        "corpus, encoder, out = map(Path, sys.argv[1:]); out.mkdir();"
        "pack(corpus, SampleCorpus().layout, encoder, PackConfig(max_length=64), out=out,"
        "     positions=read_architecture(encoder).max_position_embeddings,"
        "     run_jobs=lambda jobs: [pack_shard(job) for job in jobs]);"
        "print({'torch', 'pandas', 'scipy.linalg'} & sys.modules.keys())"
    )
    command = [sys.executable, "-c", code, str(corpus), str(tiny_encoder), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
