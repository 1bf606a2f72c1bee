"""Corpora by name: where their files come from, and the layout that tells pack how to read them."""

import gzip
import json
import shutil
import zlib
from pathlib import Path
from typing import Any

from nli_core import atomic
from nli_core.config import AgNewsCorpus, CorpusConfig, FileCorpus, SampleCorpus, SnliCorpus
from nli_core.data.corpus.layout import SPLITS, CorpusLayout, Split, format_of
from nli_core.download import archives
from nli_core.download.corpora import sample_grammar
from nli_core.download.fetch import fetch
from nli_core.download.origin import Origin
from nli_core.errors import UserError
from nli_core.urls import is_remote, without_password

SNLI_ADDRESS = "https://nlp.stanford.edu/projects/snli/snli_1.0.zip"
SNLI_SHA256 = "afb3d70a5af5d8de0d9d81e2637e0fb8c22d1235c2749d83125ca43dab0dbd3e"
# The order of labels is Dive into Deep Learning's (15.4): entailment 0, contradiction 1, neutral 2.
SNLI_LAYOUT = CorpusLayout(
    format="raw_tsv",
    files={split: f"snli_1.0_{split}.txt" for split in SPLITS},
    premise=("sentence1",),
    hypothesis="sentence2",
    label="gold_label",
    premise_parse="sentence1_binary_parse",
    hypothesis_parse="sentence2_binary_parse",
    labels=("entailment", "contradiction", "neutral"),
    drop_labels=("-",),
)
# From the repository of Zhang et al. (2015). The digests are those of the files there.
AG_NEWS_ADDRESS = "https://raw.githubusercontent.com/mhjabreel/CharCnn_Keras/master/data/ag_news_csv"
AG_NEWS_SHA256 = {
    "train": "76a0a2d2f92b286371fe4d4044640910a04a803fdd2538e0f3f29a5c6f6b672e",
    "test": "521465c2428ed7f02f8d6db6ffdd4b5447c1c701962353eb2c40d548c3c85699",
}
AG_NEWS_LABELS = ("World", "Sports", "Business", "Sci/Tech")
_PACKED = ".gz"
_SNLI_REMEDY = "point corpus.source=... at a good copy (and corpus.sha256=... at its digest)"
_AG_NEWS_REMEDY = "point corpus.source=... at a folder with good copies (corpus.train and corpus.test name the files)"


def corpus_identity(config: CorpusConfig) -> dict[str, Any]:
    """What decides a corpus' contents: digests of local files, and never the paths that they lie at.

    Raises:
        UserError: a local file is missing.
    """
    identity = config.result_fields()
    if isinstance(config, SnliCorpus):
        identity["sha256"] = _expected_sha256(config)
        if identity["sha256"] is None and config.source is not None:
            identity["source"] = _contents(config.source, "source")
    elif isinstance(config, AgNewsCorpus):
        for split, (address, sha256) in _ag_news_files(config).items():
            identity[f"{split}_sha256"] = sha256 or _contents(address, split)
    elif isinstance(config, FileCorpus):
        for split, path in _user_files(config).items():
            identity[split] = [format_of(path), path.suffix == _PACKED, atomic.file_sha256(path)]
    return identity


def _contents(address: str, field: str) -> str:
    """The digest of a local file; of one that is yet to be fetched, the address stands for its contents."""
    return without_password(address) if is_remote(address) else atomic.file_sha256(_existing(address, field))


def download_corpus(config: CorpusConfig, *, out: Path, cache: Path, scratch: Path) -> Origin:
    """Leave the corpus' tables and their `layout.json` in the folder `out`.

    Raises:
        UserError: a file cannot be had or is not what it should be.
    """
    if isinstance(config, SampleCorpus):
        return _write_sample(config, out)
    if isinstance(config, SnliCorpus):
        return _download_snli(config, out, cache, scratch)
    if isinstance(config, AgNewsCorpus):
        return _download_ag_news(config, out, cache, scratch)
    return _copy_user_files(config, out)


def _write_sample(config: SampleCorpus, out: Path) -> Origin:
    for split, pairs in sample_grammar.generate(config.pairs, config.seed).items():
        lines = [
            json.dumps({"premise": pair.premise, "hypothesis": pair.hypothesis, "label": pair.label}) for pair in pairs
        ]
        (out / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    layout = CorpusLayout(
        format="jsonl",
        files={split: f"{split}.jsonl" for split in SPLITS},
        premise=("premise",),
        hypothesis="hypothesis",
        label="label",
        labels=sample_grammar.LABELS,
    )
    layout.save(out)
    return Origin(source="generated", sha256=None, verified=True)


def _expected_sha256(config: SnliCorpus) -> str | None:
    return SNLI_SHA256 if config.source is None and config.sha256 is None else config.sha256


def _download_snli(config: SnliCorpus, out: Path, cache: Path, scratch: Path) -> Origin:
    address, sha256 = config.source or SNLI_ADDRESS, _expected_sha256(config)
    archive = fetch(address, digest=sha256, cache=cache, scratch=scratch, remedy=_SNLI_REMEDY)
    archives.extract(archive, SNLI_LAYOUT.files.values(), out, remedy=_SNLI_REMEDY)
    SNLI_LAYOUT.save(out)
    digest = atomic.file_sha256(archive)
    return Origin(source=without_password(address), sha256=digest, verified=sha256 is not None)


def _ag_news_files(config: AgNewsCorpus) -> dict[Split, tuple[str, str | None]]:
    """Address or path of each file, and the digest that it must have."""
    published = config.source is None
    folder = (config.source or AG_NEWS_ADDRESS).rstrip("/")
    if not is_remote(folder) and not Path(folder).expanduser().is_dir():
        raise UserError(f"corpus.source: there is no folder {folder}; give one with {config.train} and {config.test}")
    given: dict[Split, tuple[str, str | None]] = {
        "train": (config.train, config.train_sha256),
        "test": (config.test, config.test_sha256),
    }
    return {
        split: (f"{folder}/{name}", sha256 or (AG_NEWS_SHA256[split] if published else None))
        for split, (name, sha256) in given.items()
    }


def _download_ag_news(config: AgNewsCorpus, out: Path, cache: Path, scratch: Path) -> Origin:
    """A headerless CSV file a split: class number from 1, title, description."""
    verified, files = True, _ag_news_files(config)
    for split, (address, sha256) in files.items():
        fetched = fetch(address, digest=sha256, cache=cache, scratch=scratch, remedy=_AG_NEWS_REMEDY)
        shutil.copyfile(fetched, out / f"{split}.csv")
        verified = verified and atomic.file_sha256(fetched) == (sha256 or AG_NEWS_SHA256[split])
    CorpusLayout(
        format="csv",
        files={split: f"{split}.csv" for split in files},
        columns=("class", "title", "description"),
        premise=("title", "description"),
        hypothesis=None,
        label="class",
        labels=AG_NEWS_LABELS,
        label_values=("1", "2", "3", "4"),
        carve={"dev": config.dev_fraction},
        carve_seed=config.carve_seed,
    ).save(out)
    source = without_password(config.source or AG_NEWS_ADDRESS)
    names = {split: without_password(address) for split, (address, _) in files.items()}
    return Origin(source=source, sha256=None, verified=verified, files=names)


def _copy_user_files(config: FileCorpus, out: Path) -> Origin:
    paths = _user_files(config)
    formats = {format_of(path) for path in paths.values()}
    if len(formats) > 1:
        raise UserError(f"corpus: the files of one corpus must have one format, not {', '.join(sorted(formats))}")
    format_ = formats.pop()
    files: dict[Split, str] = {}
    for split, path in paths.items():
        files[split] = f"{split}.{format_}"
        _copy_plain(path, out / files[split])
    fractions: dict[Split, float] = {"dev": config.dev_fraction, "test": config.test_fraction}
    CorpusLayout(
        format=format_,
        files=files,
        premise=(config.premise,),
        hypothesis=config.hypothesis,
        label=config.label,
        labels=config.labels,
        drop_labels=config.drop_labels,
        carve={split: fraction for split, fraction in fractions.items() if split not in files},
        carve_seed=config.carve_seed,
        named_by_user=True,
    ).save(out)
    names = {split: str(path) for split, path in paths.items()}
    return Origin(source=str(paths["train"].resolve().parent), sha256=None, verified=False, files=names)


def _user_files(config: FileCorpus) -> dict[Split, Path]:
    given: dict[Split, str | None] = {"train": config.train, "dev": config.dev, "test": config.test}
    return {split: _existing(path, split) for split, path in given.items() if path is not None}


def _existing(path: str, field: str) -> Path:
    expanded = Path(path).expanduser()
    if not expanded.is_file():
        raise UserError(f"corpus.{field}: there is no file {path} (looked in {Path.cwd()}); give the path of one")
    return expanded


def _copy_plain(path: Path, target: Path) -> None:
    if path.suffix != _PACKED:
        shutil.copyfile(path, target)
        return
    try:
        with gzip.open(path) as source, target.open("wb") as plain:
            shutil.copyfileobj(source, plain, length=1 << 20)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise UserError(f"{path}: is not an intact gzip file ({error}); compress it again") from None
