"""What flow runs leave in Prefect, and tell a webhook."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from prefect.blocks.notifications import CustomWebhookNotificationBlock

from flows.pipeline import RunSummary
from nli_core.errors import UserError

Run = Callable[..., RunSummary]


@pytest.fixture
def artifact(prefect_server: str) -> Callable[[str], str]:
    """The text of the newest artifact with a key."""

    def get(key: str) -> str:
        answer = requests.get(f"{prefect_server}/artifacts/{key}/latest", timeout=30)
        answer.raise_for_status()
        return str(answer.json()["data"])

    return get


def test_a_run_leaves_a_summary_of_what_it_did(run_pipeline: Run, artifact: Callable[[str], str]) -> None:
    run_pipeline(until="pack")
    first = artifact("tiny-run")
    assert "| pack | Completed |" in first
    assert "Nothing changed" not in first
    run_pipeline(until="pack")
    assert "Nothing changed: every stage was cached." in artifact("tiny-run")


@pytest.mark.slow
def test_a_finished_run_says_how_it_does_against_the_champion(
    run_pipeline: Run, artifact: Callable[[str], str]
) -> None:
    run_pipeline()
    text = artifact("tiny-run")
    assert "- test accuracy 0." in text
    assert "MLflow run" in text
    assert "nli-sample has no champion yet" in text

    first = run_pipeline(promote_as="nli-sample")
    assert first.promotion == "nli-sample: version 1 is champion now (models:/nli-sample@champion)"
    assert first.promotion in artifact("tiny-run")
    assert (
        run_pipeline(promote_as="nli-sample").promotion
        == "nli-sample: version 1 stays champion; it is champion already"
    )

    worse = {"learning_rate": 1e-6, "epochs": 1}
    run_pipeline(finetune=worse)
    assert "against the champion of nli-sample, version 1: " in artifact("tiny-run")
    other = run_pipeline(finetune=worse, promote_as="nli-sample")
    assert str(other.promotion).startswith("nli-sample: version 1 stays champion; not better")
    run_pipeline(corpus={"name": "sample", "pairs": 270})
    assert "not compared with the champion: " in artifact("tiny-run")
    with pytest.raises(UserError, match="only an evaluated run can be champion"):
        run_pipeline(until="pack", promote_as="nli-sample")


def test_a_failed_run_says_why_and_how_to_resume(
    run_pipeline: Run, artifact: Callable[[str], str], overflowing_encoder: Path, told: list[dict[str, Any]]
) -> None:
    with pytest.raises(UserError):
        run_pipeline(encoder={"name": str(overflowing_encoder)})
    text = artifact("tiny-end")
    assert "finetune: the loss became nan in step 1" in text
    assert "In the stage finetune" in text
    assert "\nfinetune: the loss became nan in step 1" in text
    assert "encountered an exception" not in text
    assert "Change what it names, then rerun" in text
    (message,) = told
    assert (message["recipe"], message["state"]) == ("tiny", "Failed")
    assert message["stage"] == "finetune"
    assert "the loss became nan" in message["message"]


def test_a_prefect_notification_block_is_notified(
    run_pipeline: Run, told: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    block = CustomWebhookNotificationBlock(
        name="tests", url=os.environ["NLI_WEBHOOK"], json_data={"subject": "{{subject}}", "body": "{{body}}"}
    )
    block.save("told-of-ends", overwrite=True)
    nowhere = {"name": "snli", "source": "/nowhere/snli.zip"}
    for target in ("custom-webhook/told-of-ends", "custom-webhook/unknown"):
        monkeypatch.setenv("NLI_WEBHOOK", target)
        with pytest.raises(UserError, match=r"/nowhere/snli\.zip"):
            run_pipeline(corpus=nowhere)
    (message,) = told
    assert message["subject"] == "tiny: Failed"
    assert "there is no file /nowhere/snli.zip" in message["body"]
    assert caplog.text.count("NLI_WEBHOOK: could not be notified of this run") == 1


@pytest.mark.parametrize("target", ["secret", "https://", "http://me:secret@[::host/hook", "slack/secret/name"])
def test_a_webhook_that_can_be_none_is_refused(target: str, run_pipeline: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLI_WEBHOOK", target)
    with pytest.raises(UserError, match=r"^NLI_WEBHOOK: give an http\(s\) address, or a notification block") as refusal:
        run_pipeline()
    assert "secret" not in str(refusal.value)


def test_a_webhook_that_is_away_disturbs_nothing(
    run_pipeline: Run, overflowing_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NLI_WEBHOOK", "http://me:secret@127.0.0.1:9/hook")
    with pytest.raises(UserError, match="the loss became nan"):
        run_pipeline(encoder={"name": str(overflowing_encoder)})
