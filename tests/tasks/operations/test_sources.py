from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from nli_core.errors import UserError
from nli_core.run.config import RunConfig, parse_config
from tasks.operations.sources import check_source, sources
from tasks.recipes import read_recipes


@pytest.fixture
def mirror(serve: Callable[..., str], tmp_path: Path) -> str:
    """The address of a server that has a file snli.zip."""
    (tmp_path / "snli.zip").touch()
    return f"http://{serve(partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))}"


def _config(source: str) -> RunConfig:
    return parse_config({"corpus": {"name": "snli", "source": source}, "encoder": {"name": "minilm-l6"}})


def test_a_mirror_is_asked_for_the_very_file(mirror: str, tmp_path: Path) -> None:
    for place in (f"{mirror}/snli.zip", str(tmp_path / "snli.zip")):
        (source,) = sources(_config(place))
        check_source(source)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("{mirror}/other.zip", "{mirror}/other.zip: the server answers HTTP 404"),
        (
            "http://me:secret@127.0.0.1:9/snli.zip",
            "http://127.0.0.1:9/snli.zip: no connection (ConnectError), is there a network?",
        ),
        ("/nowhere/snli.zip", "there is no /nowhere/snli.zip"),
    ],
)
def test_what_cannot_be_had_is_named(mirror: str, place: str, message: str) -> None:
    (source,) = sources(_config(place.format(mirror=mirror)))
    with pytest.raises(UserError) as raised:
        check_source(source)
    assert str(raised.value) == message.format(mirror=mirror)


def test_sources_are_what_download_would_fetch(project: Path, tiny_config: Callable[..., RunConfig]) -> None:
    assert list(sources(tiny_config())) == []
    found = {
        source.address: source.field
        for recipe in read_recipes(project / "prefect.yaml").values()
        for source in sources(parse_config(recipe.config))
    }
    news = "https://raw.githubusercontent.com/mhjabreel/CharCnn_Keras/master/data/ag_news_csv"
    book = "https://d2l-data.s3-accelerate.amazonaws.com"
    commit = "86b5e0934494bd15c9632b12f734a8a67f723594"
    expected = {
        "https://nlp.stanford.edu/projects/snli/snli_1.0.zip": "corpus.source",
        f"{news}/train.csv": "corpus.source",
        f"{news}/test.csv": "corpus.source",
        f"{book}/bert.small.torch.zip": "encoder.source",
        f"{book}/bert.base.torch.zip": "encoder.source",
        f"https://huggingface.co/google-bert/bert-base-uncased/resolve/{commit}/config.json": "encoder.source",
    }
    assert expected.items() <= found.items()
