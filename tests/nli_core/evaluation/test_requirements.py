import pytest

from nli_core.config import RequirementsConfig
from nli_core.errors import UserError
from nli_core.evaluation.behaviour.changes import CHANGES
from nli_core.evaluation.behaviour.flips import SAME_TEXT
from nli_core.evaluation.requirements import SURE_CHANGES, missed_requirements, requirements_sentence
from nli_core.run.config import parse_config

METRICS = {
    "test/accuracy": 0.81,
    "test/accuracy_low": 0.79,
    "test/accuracy_high": 0.83,
    "test/hard/accuracy": 0.6,
    "test/hard/accuracy_low": 0.55,
    "test/class/neutral/accuracy": 0.7,
    "test/class/neutral/accuracy_low": 0.65,
    "challenge/hans/accuracy": 0.5,
    "challenge/hans/accuracy_low": 0.48,
    "challenge/hans/subsequence/accuracy": 0.4,
    "challenge/hans/subsequence/accuracy_low": 0.3,
    "test/calibrated/ece": 0.02,
    "test/calibrated/ece_high": 0.03,
    "behaviour/typo/flip_rate": 0.08,
    "behaviour/typo/flip_rate_high": 0.11,
    "behaviour/names/flip_rate": 0.5,
    "behaviour/names/flip_rate_high": 0.6,
}


@pytest.mark.parametrize(
    ("required", "missed"),
    [
        ({"accuracy": 0.79}, []),
        ({"accuracy": 0.8}, ["test/accuracy is 0.8100, the lower end of its interval 0.7900, below 0.8"]),
        ({"slices": {"hard": 0.55}, "classes": {"neutral": 0.65}}, []),
        (
            {"slices": {"hard": 0.56}},
            ["test/hard/accuracy is 0.6000, the lower end of its interval 0.55"],
        ),
        ({"challenges": {"hans": 0.4}}, []),
        ({"challenges": {"hans/subsequence": 0.4}}, ["challenge/hans/subsequence/accuracy is 0.4000"]),
        ({"ece": 0.03}, []),
        ({"ece": 0.025}, ["test/calibrated/ece is 0.0200, the upper end of its interval 0.0300, above 0.025"]),
        ({"flip_rate": 0.11}, []),  # names may change the label: their flips are no errors
        ({"flip_rate": 0.1}, ["behaviour/typo/flip_rate is 0.0800, the upper end of its interval 0.1100, above 0.1"]),
        ({"classes": {"neutrl": 0.1}}, ["test/class/neutrl/accuracy was not measured; did you mean neutral?"]),
        ({"slices": {"agreed": 0.1}}, ["test/agreed/accuracy was not measured"]),
    ],
)
def test_the_worse_end_of_an_interval_counts(required: dict[str, object], missed: list[str]) -> None:
    found = missed_requirements(RequirementsConfig.model_validate(required), METRICS)
    assert len(found) == len(missed)
    assert all(each.startswith(expected) for each, expected in zip(found, missed, strict=True))
    assert requirements_sentence(found).startswith("does not meet" if missed else "meets")


def test_what_cannot_be_required_is_refused_before_work() -> None:
    for required, message in [
        ({"precision": 0.8}, "evaluate.requirements.precision: no such field"),
        ({"slices": {"hrad": 0.8}}, "evaluate.requirements.slices.hrad"),
        ({"accuracy": 80}, "evaluate.requirements.accuracy: should be at most 1"),
        ({"challenges": {"hans": 0.5}}, "'hans' is not in evaluate.challenges; add it"),
    ]:
        with pytest.raises(UserError, match=message):
            parse_config({"corpus": {"name": "sample"}, "evaluate": {"requirements": required}})


def test_flips_of_sure_changes_alone_are_errors() -> None:
    """They are named twice, since a cached run checks requirements without what changes texts."""
    assert set(SURE_CHANGES) == {name for name, change in CHANGES.items() if change.is_sure} | {SAME_TEXT}
