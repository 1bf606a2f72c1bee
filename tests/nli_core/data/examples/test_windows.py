"""Long texts in windows: the oracle takes them one by one out of the whole example."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from nli_core.config import PackConfig
from nli_core.data.examples.encode import Texts, encode_texts
from nli_core.data.examples.ragged import RaggedExamples
from nli_core.data.examples.shards import ShardMetadata, ShardSet, write_shard
from nli_core.data.examples.windows import cut_windows
from nli_core.data.tokenize.tokenizer import Tokenizer
from nli_core.evaluation.slices import overlap, text_lengths

FolderOf = Callable[[str], Path]
_WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f", "g", "h"]), max_size=40)
_TEXTS = st.lists(st.tuples(_WORDS, _WORDS.filter(bool)), min_size=1, max_size=6)


@given(lengths=st.lists(st.integers(0, 300), min_size=1, max_size=20), room=st.integers(1, 60))
def test_windows_cover_a_text_and_are_full(lengths: list[int], room: int) -> None:
    windows = cut_windows(np.array(lengths), np.full(len(lengths), room))
    assert windows.owners.tolist() == sorted(windows.owners.tolist())
    for example, length in enumerate(lengths):
        mine = windows.owners == example
        pairs = list(zip(windows.starts[mine].tolist(), windows.kept[mine].tolist(), strict=True))
        assert sorted({place for start, kept in pairs for place in range(start, start + kept)}) == list(range(length))
        assert {kept for _, kept in pairs} == {min(length, room)}
        steps = np.diff([start for start, _ in pairs])
        assert (steps > 0).all()
        assert (steps <= room - room // 4).all()
        assert len(pairs) <= 1 + -(-max(length - room, 0) // max(room - room // 4, 1))


def _rows(examples: RaggedExamples) -> list[tuple[list[int], int]]:
    ends = examples.lengths.cumsum()
    texts = [
        examples.input_ids[end - length : end].tolist() for end, length in zip(ends, examples.lengths, strict=True)
    ]
    return list(zip(texts, examples.boundaries.tolist(), strict=True))


@settings(max_examples=60)
@given(texts=_TEXTS, pairs=st.booleans(), family=st.sampled_from(["bert", "roberta"]))
def test_windows_are_parts_of_the_whole_example(
    tokenizer_folder: FolderOf, texts: list[tuple[list[str], list[str]]], pairs: bool, family: str
) -> None:
    tokenizer = Tokenizer(tokenizer_folder(family))
    premises, hypotheses = (Texts.of([" ".join(words) for words in column]) for column in zip(*texts, strict=True))
    second = hypotheses if pairs else None
    found = encode_texts(tokenizer, premises, second, PackConfig(max_length=16, long_texts="windows"))
    owners = found.examples.of_rows()
    assert found.examples.count == len(texts)
    template = tokenizer.templates.pair if pairs else tokenizer.templates.single
    assert template is not None
    budget, rows = 16 - len(template), _rows(found.examples)
    for example in range(len(texts)):
        ids, counts = tokenizer.encode(premises.raw)
        whole = np.split(ids, np.cumsum(counts))[example].tolist()
        other: list[int] = []
        if pairs:
            ids, counts = tokenizer.encode(hypotheses.raw)
            other = np.split(ids, np.cumsum(counts))[example].tolist()
            other = other[: max(budget - len(whole), budget // 2)]
        room, parts = budget - len(other), []
        start = 0
        while True:
            part = whole[max(0, min(start, len(whole) - room)) :][:room]
            parts.append([*template.before, *part, *template.between, *other, *template.after])
            if start + room >= len(whole):
                break
            start += room - room // 4
        assert [row for row, _ in np.array(rows, object)[owners == example]] == parts
        boundaries = {boundary - len(row) for row, boundary in np.array(rows, object)[owners == example]}
        assert boundaries == {-len(other) - len(template.after) if pairs else 0}


def test_what_rows_compute_is_averaged() -> None:
    examples = RaggedExamples(np.arange(9), np.array([2, 3, 4]), np.array([2, 3, 4]), 0, owners=np.array([0, 0, 1]))
    computed = torch.tensor([[1.0, 2.0], [3.0, 6.0], [5.0, 7.0]])
    assert examples.average(computed).tolist() == [[2.0, 4.0], [5.0, 7.0]]
    joined = RaggedExamples.concatenate([examples, examples])
    assert (joined.count, joined.of_rows().tolist()) == (4, [0, 0, 1, 2, 2, 3])
    one = RaggedExamples(np.arange(9), np.array([9]), np.array([9]), 0)
    assert one.average(computed) is computed


def test_shards_keep_windows_together(tmp_path: Path) -> None:
    examples = RaggedExamples(
        np.array([5, 6, 7, 5, 8, 7, 5, 9, 9]), np.array([3, 3, 3]), np.array([1, 1, 1]), 0, owners=np.array([0, 0, 1])
    )
    metadata = ShardMetadata(
        split="dev",
        first_id=4,
        labels=("a", "b"),
        tokenizer_sha256="0" * 64,
        vocabulary_size=10,
        pad_id=0,
        config=PackConfig(long_texts="windows"),
        truncated_examples=0,
        truncated_tokens=0,
    )
    write_shard(tmp_path / "dev-00000.arrow", np.array([4, 9]), np.array([1, 0]), examples, metadata)
    shards = ShardSet(tmp_path, "dev")
    assert (shards.ids.tolist(), shards.targets.tolist()) == ([4, 9], [1, 0])
    assert (shards.row_ids.tolist(), shards.row_targets.tolist()) == ([4, 4, 9], [1, 1, 0])
    assert shards.examples.of_rows().tolist() == [0, 0, 1]
    assert text_lengths(shards.examples).tolist() == [6, 3]
    assert overlap(shards.examples).tolist() == [0.0, 0.0]
    assert shards.metadata[0].config.long_texts == "windows"


def test_windows_take_no_filling() -> None:
    with pytest.raises(ValidationError, match="long_texts=windows has none; set one of the two"):
        PackConfig(fill=True, long_texts="windows")
