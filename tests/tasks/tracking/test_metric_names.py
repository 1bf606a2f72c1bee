from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.utils.validation import _validate_metric_name

from tasks.tracking.metric_names import metric_names


def test_names_that_mlflow_takes_stay() -> None:
    names = ["dev/f1/Sci/Tech", "dev/f1/Cote d'Azur", "dev/f1/Cote d_Azur", "dev/f1/été"]
    assert metric_names(names) == {
        "dev/f1/Sci/Tech": "dev/f1/Sci/Tech",
        "dev/f1/Cote d_Azur": "dev/f1/Cote d_Azur",
        "dev/f1/Cote d'Azur": "dev/f1/Cote d_Azur_2",
        "dev/f1/été": "dev/f1/été",
    }


@given(names=st.sets(st.text(st.sampled_from("ab+*/. :\n\\é$_2"), max_size=8).map("test/f1/{}".format), max_size=8))
@settings(max_examples=300)
def test_names_are_never_alike_and_always_taken(names: set[str]) -> None:
    found = metric_names(names)
    assert found.keys() == names
    assert len(set(found.values())) == len(names)
    for name in found.values():
        _validate_metric_name(name)


def test_mlflow_keeps_metrics_of_hostile_labels(workplace: Path) -> None:
    client = MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    run = client.create_run(client.create_experiment(str(workplace)))
    names = metric_names([f"test/f1/{label}" for label in ("a+b", "a*b", "..", "", "/x", "n" * 400, "n" * 401)])
    client.log_batch(run.info.run_id, [Metric(name, 1.0, 0, 0) for name in names.values()])
    assert client.get_run(run.info.run_id).data.metrics.keys() == set(names.values())


@pytest.mark.parametrize("number", [2, 3])
def test_many_alike_are_numbered(number: int) -> None:
    names = [f"f1/{sign}" for sign in "+*&"[:number]]
    assert sorted(metric_names(names).values()) == ["f1/_", "f1/__2", "f1/__3"][:number]
