"""The oracle of a packed batch is the padded one."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nli_core.data.examples.ragged import RaggedExamples
from nli_core.data.loading.loader import TOKEN_STEP, make_loader

CPU = torch.device("cpu")


def _corpus(longest: int, *, examples: int = 400) -> RaggedExamples:
    random = np.random.default_rng(longest)
    lengths = random.integers(1, longest + 1, examples)
    ids = random.integers(5, 60_000, lengths.sum()).astype(np.uint16)
    return RaggedExamples(ids, lengths, random.integers(0, lengths + 1), pad_id=0)


@pytest.mark.parametrize("longest", [1, 2, 53, 128, 1023, 1024, 3000])
def test_a_packed_batch_has_the_tokens_of_the_padded_one(longest: int) -> None:
    corpus = _corpus(longest)
    places = np.random.default_rng(0).permutation(len(corpus))[:31]
    padded = make_loader(corpus, CPU, packed=False).batch(places)
    packed = make_loader(corpus, CPU, packed=True).batch(places)
    inside = torch.arange(padded.input_ids.shape[1]) < padded.lengths[:, None]
    tokens = int(padded.lengths.sum())
    assert torch.equal(packed.lengths[:31], padded.lengths)
    assert torch.equal(packed.input_ids[:tokens], padded.input_ids[inside])
    assert torch.equal(packed.token_type_ids[:tokens], padded.token_type_ids[inside])


@given(st.lists(st.integers(1, 700), min_size=1, max_size=60), st.data())
def test_every_token_of_a_packed_batch_is_of_an_example(lengths: list[int], data: st.DataObject) -> None:
    """Flash attention leaves what lies beyond the last example undefined (pytorch 176793)."""
    corpus = RaggedExamples(np.ones(sum(lengths), np.int64), np.array(lengths), np.array(lengths), pad_id=0)
    chosen = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=40))
    batch = make_loader(corpus, CPU, packed=True).batch(np.array(chosen))
    assert int(batch.lengths.sum()) == len(batch.input_ids)
    assert int(batch.lengths.min()) >= 1


@pytest.mark.parametrize("longest", [1, 2, 53, 128, 1023, 1024, 3000])
def test_shapes_change_by_steps_of_tokens_alone(longest: int) -> None:
    """A captured or compiled step needs few shapes: the examples are always as many, the tokens a multiple."""
    corpus = _corpus(longest)
    packed = make_loader(corpus, CPU, packed=True)
    random = np.random.default_rng(0)
    counts = set()
    for _ in range(100):
        batch = packed.batch(random.permutation(len(corpus))[:31])
        assert len(batch.input_ids) == int(batch.lengths.sum()) == len(batch.token_type_ids)
        assert len(batch.input_ids) % TOKEN_STEP == 0
        assert packed.longest is not None
        assert 1 <= int(batch.lengths.min()) <= int(batch.lengths.max()) <= packed.longest
        counts.add(len(batch.lengths))
    assert len(counts) == 1


def test_a_corpus_of_one_token_can_be_packed() -> None:
    corpus = RaggedExamples(np.array([7]), np.array([1]), np.array([1]), pad_id=0)
    assert int(make_loader(corpus, CPU, packed=True).batch(np.array([0])).input_ids[0]) == 7


def test_no_examples_are_no_fault() -> None:
    """A served model may be asked about nothing."""
    nothing = np.zeros(0, np.int64)
    for packed in (False, True):
        make_loader(RaggedExamples(nothing, nothing, nothing, pad_id=0), CPU, packed=packed)
