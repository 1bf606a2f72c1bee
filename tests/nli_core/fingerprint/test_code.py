"""The digests are taken of a copy of the package that the tests edit."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nli_core.download.corpora.registry import CORPORA
from nli_core.download.encoders.registry import ENCODERS
from nli_core.fingerprint.code import code_of
from nli_core.model.families.registry import family_entries
from nli_core.run.config import parse_config
from nli_core.run.plan import ENTRIES, code_behind
from tests.fixtures.modules import load_module

KINDS = set(ENTRIES)
MODELS = {"finetune", "evaluate"}
DOWNLOADS = {"corpus", "encoder", "challenges"}
PACKERS = {"pack", "challenge_shards"}
TEXT_READERS = {"corpus", "audit", *PACKERS}
EVERY_ENTRY = {
    **ENTRIES,
    "corpus": (*ENTRIES["corpus"], *(f"{corpus.__module__}:{corpus.__name__}" for corpus in CORPORA)),
    "encoder": (*ENTRIES["encoder"], *(f"{encoder.__module__}:{encoder.__name__}" for encoder in ENCODERS)),
    **{kind: (*ENTRIES[kind], *family_entries()) for kind in MODELS},
}
Code = Callable[[], dict[str, Any]]


@pytest.fixture
def core(tmp_path: Path, project: Path) -> Path:
    """A copy of the core that may be edited."""
    return Path(shutil.copytree(project / "nli_core", tmp_path / "nli_core"))


@pytest.fixture
def code(core: Path) -> Code:
    """Digests the copy for every kind of output; the module is loaded anew, since it remembers what it parsed."""
    return lambda: _digest(core)


@pytest.fixture(scope="module")
def digests(project: Path) -> dict[str, Any]:
    """The digests without any edit."""
    return _digest(project / "nli_core")


def _digest(core: Path) -> dict[str, Any]:
    module = _load(core)
    return {kind: module.code_of(*entries) for kind, entries in EVERY_ENTRY.items()}


def _load(core: Path) -> Any:
    return load_module(core / "fingerprint" / "code.py", "copied_fingerprint")


def _edit(core: Path, file: str, before: str, after: str) -> None:
    path = core / file
    source = path.read_text(encoding="utf-8")
    assert before in source, f"{file} no longer has {before!r}"
    path.write_text(source.replace(before, after), encoding="utf-8")


def _changed(code: Code, before: dict[str, Any]) -> set[str]:
    return set(_changed_definitions(code, before))


def _changed_definitions(code: Code, before: dict[str, Any]) -> dict[str, set[str]]:
    """The definitions that changed alone, by the outputs that changed."""
    after = code()
    changed = {kind for kind in KINDS if after[kind].digest != before[kind].digest}
    return {
        kind: {name for name, _ in before[kind].definitions.items() ^ after[kind].definitions.items()}
        for kind in changed
    }


@pytest.mark.parametrize(
    ("file", "before", "after", "kinds"),
    [
        pytest.param(
            "download/archives.py",
            "_MOST_SWELLING = 100",
            "_MOST_SWELLING = 99",
            {"corpus", "encoder", "challenges"},
            id="constant",
        ),
        pytest.param(
            "download/corpora/sample_grammar.py",
            "range(pairs // 3)",
            "range(pairs // 4)",
            {"corpus"},
            id="bound",
        ),
        pytest.param(
            "data/corpus/layout.py",
            "carve_seed: int = 0",
            "carve_seed: int = 1",
            TEXT_READERS,
            id="default",
        ),
        pytest.param(
            "data/corpus/layout.py",
            "    label: str\n",
            "    label: int\n",
            TEXT_READERS,
            id="field",
        ),
        pytest.param(
            "data/examples/compiled_join.py",
            "range(kept[row])",
            "range(kept[row] - 1)",
            {"pack", "challenge_shards"},
            id="loop",
        ),
        pytest.param(
            "data/examples/truncate.py",
            "budget // 2",
            "budget // 3",
            {*PACKERS, "evaluate"},
            id="formula-of-pack",
        ),
        pytest.param("training/optimizer.py", "(step + 1)", "(step + 2)", {"finetune"}, id="formula-of-finetune"),
        pytest.param("data/loading/batching.py", "BATCHES = 50", "BATCHES = 60", {"finetune"}, id="batches"),
        pytest.param(
            "model/classifier.py",
            "head_dropout: float = 0.0",
            "head_dropout: float = 0.5",
            {"finetune", "evaluate"},
            id="default-of-a-parameter",
        ),
        pytest.param("evaluation/metrics.py", "zero_division=0.0", "zero_division=1.0", {"evaluate"}, id="argument"),
        pytest.param("evaluation/metrics.py", "argmax(axis=1)", "argmin(axis=1)", {"evaluate"}, id="method"),
        pytest.param(
            "model/encoder.py",
            "from torch.nn import functional",
            "from torch import functional",
            {"finetune", "evaluate"},
            id="library",
        ),
        pytest.param(
            "data/examples/shards.py",
            "_METADATA_KEY = b",
            "register()\n_METADATA_KEY = b",
            {"pack", "challenge_shards", "finetune", "evaluate"},
            id="statement-of-a-module",
        ),
    ],
)
def test_code_that_changes_a_result_counts(
    core: Path, code: Code, digests: dict[str, Any], file: str, before: str, after: str, kinds: set[str]
) -> None:
    _edit(core, file, before, after)
    assert _changed(code, digests) == kinds


NO_RESULT = (
    ("training/optimizer.py", '"""AdamW and', '"""Another text: AdamW and'),  # docstring
    ("training/optimizer.py", "    warmup =", "    # a comment\n    warmup ="),  # comment
    ("training/optimizer.py", "(step + 1)", "( step+1 )"),  # formatting
    ("training/optimizer.py", "step: int, total_steps: int", "step: float, total_steps"),  # annotation
    ("training/optimizer.py", "trainable", "chosen"),  # local variable
    ("download/archives.py", "has no {name}", "lacks the member {name}"),  # raised
    ("download/fetch.py", "{shown}: expected {", "{shown}: wanted {"),  # raised by a helper
    ("data/corpus/cleaning.py", "add it to {remedy}", "name it in {remedy}"),  # a helper of what is raised
    ("training/trainer.py", '_REMEDY = "lower', '_REMEDY = "reduce'),  # constant of a message
    ("training/report.py", "dev accuracy {dev", "accuracy on dev {dev"),  # progress
    ("errors.py", "class UserError(Exception)", "class UserError(ValueError)"),  # errors
    ("atomic.py", "os.fsync(handle)", "os.fdatasync(handle)"),  # atomic writing
    ("training/processes/launch.py", "_POLL_SECONDS = 0.1", "_POLL_SECONDS = 0.2"),  # starting processes
    ("config/stages.py", "passes over train", "epochs over train"),  # description
)
"""Edits that change no result: file, before, after."""


def test_what_changes_no_result_does_not_count(core: Path, code: Code, digests: dict[str, Any]) -> None:
    for file, before, after in NO_RESULT:
        _edit(core, file, before, after)
    assert _changed_definitions(code, digests) == {}


def test_a_tokenizer_does_not_count_for_who_reads_no_text(core: Path, code: Code, digests: dict[str, Any]) -> None:
    _edit(core, "data/tokenize/word_level.py", r"n't(?!\\w)", r"n't")
    assert _changed(code, digests) == {"encoder"}
    _edit(core, "data/tokenize/tokenizer.py", "parse or self._split", "self._split")
    assert _changed(code, digests) == {"encoder", "pack", "challenge_shards", "evaluate"}


def test_modules_may_move(core: Path, code: Code, digests: dict[str, Any]) -> None:
    for number, module in enumerate(("data.examples.ragged", "model.architecture", "training.optimizer")):
        core.joinpath(*module.split(".")).with_suffix(".py").rename(core / f"moved_{number}.py")
        for other in core.rglob("*.py"):
            source = other.read_text(encoding="utf-8")
            other.write_text(source.replace(f"nli_core.{module}", f"nli_core.moved_{number}"), encoding="utf-8")
    assert _changed(code, digests) == set()


def test_definitions_may_be_renamed(core: Path, code: Code, digests: dict[str, Any]) -> None:
    for name in ("training_batches", "RaggedExamples", "_by_head", "STRATEGIES", "_is_better"):
        for path in core.rglob("*.py"):
            source = path.read_text(encoding="utf-8")
            path.write_text(re.sub(rf"\b{name}\b(?!=)", f"Renamed_{name}", source), encoding="utf-8")
    assert _changed(code, digests) == set()


def test_a_definition_may_move_to_another_module(core: Path, code: Code, digests: dict[str, Any]) -> None:
    optimizer, loop = core / "training" / "optimizer.py", core / "training" / "trainer.py"
    source = optimizer.read_text(encoding="utf-8")
    start = source.index("def learning_rate")
    optimizer.write_text(source[:start], encoding="utf-8")
    moved = loop.read_text(encoding="utf-8").replace("import build_optimizer, learning_rate", "import build_optimizer")
    loop.write_text(f"{moved}\n\n{source[start:]}", encoding="utf-8")
    assert _changed(code, digests) == set()


def test_each_definition_has_a_digest_for_explanations(core: Path, code: Code, digests: dict[str, Any]) -> None:
    before = digests["finetune"].definitions
    _edit(core, "training/optimizer.py", "(step + 1)", "(step + 2)")
    after = code()["finetune"].definitions
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"nli_core.training.optimizer.learning_rate"}


SMALL = """
from typing import TYPE_CHECKING
from nli_core.config.base import Section
if TYPE_CHECKING:
    LIMIT = 1
else:
    LIMIT = 2
FIRST, SECOND = 1, 2
TABLE = {"a": 1}
TABLE["b"] = 2
COUNT = 1
COUNT = COUNT * 2
total = 0


class Fields(Section):
    size: int = 1


def scale(value):
    return value * 2


class Model:
    def one(self, values):
        scale = len(values)
        return scale

    def two(self, value):
        global total
        total = 3
        kind = "big" if value else "small"
        self.progress(1, 2, f"{kind} values")
        found = [scale for scale in (1, 2)]
        return scale(value) + FIRST + LIMIT + TABLE["b"] + COUNT + total + len(found)


def entry():
    return Model(), Fields()
"""


@pytest.mark.parametrize(
    ("before", "after", "counts"),
    [
        pytest.param("+ FIRST +", "+ SECOND +", True, id="names of one assignment"),
        pytest.param("return value * 2", "return value * 3", True, id="a local elsewhere has its name"),
        pytest.param("total = 3", "total = 4", True, id="a global that is set"),
        pytest.param("COUNT = 1\n", "COUNT = 5\n", True, id="an assignment that is overwritten"),
        pytest.param('TABLE = {"a": 1}', 'TABLE = {"a": 2}', True, id="an assignment before that of an item"),
        pytest.param('TABLE["b"] = 2', 'TABLE["b"] = 3', True, id="an assignment of an item"),
        pytest.param("    LIMIT = 2", "    LIMIT = 3", True, id="else of TYPE_CHECKING"),
        pytest.param("    size: int = 1", "    size: float = 1", True, id="a field of pydantic's by a base"),
        pytest.param("FIRST, SECOND", "import os\nos.environ['X'] = '1'\nFIRST, SECOND", True, id="an effect"),
        pytest.param("    LIMIT = 1", "    LIMIT = 7", False, id="TYPE_CHECKING"),
        pytest.param('kind = "big"', 'kind = "large"', False, id="a variable of a message"),
        pytest.param('        kind = "big" if value else "small"\n', "", False, id="no variable of a message"),
        pytest.param("in (1, 2)]", "in (1, 2)]  # a comment", False, id="comment"),
        pytest.param("values", "rows", True, id="a parameter"),
        pytest.param("found", "seen", False, id="a local"),
    ],
)
def test_scopes_and_assignments(core: Path, before: str, after: str, counts: bool) -> None:
    """On a module of its own; the last parameter says whether the edit counts."""
    module = core / "small.py"
    digests = []
    for source in (SMALL, SMALL.replace(before, after)):
        module.write_text(source, encoding="utf-8")
        digests.append(_load(core).code_of("nli_core.small:entry").digest)
    assert before in SMALL
    assert (digests[0] != digests[1]) == counts


def test_a_corpus_counts_only_for_runs_that_read_it() -> None:
    snli = code_behind("corpus", parse_config({"corpus": {"name": "snli"}}), {}).definitions
    assert "nli_core.download.corpora.snli.SnliCorpus" in snli
    assert not [name for name in snli if "ag_news" in name or "d2l" in name]


def test_an_unknown_entry_is_an_error() -> None:
    with pytest.raises(LookupError):
        code_of("nli_core.training.nothing:finetune")
