"""The report as a model card: `README.md` with metadata that the Hugging Face hub reads."""

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from nli_core.evaluation.report.page import report_markdown
from nli_core.evaluation.report.record import RunRecord

_REPORTED = {"test/accuracy": "accuracy", "test/macro_f1": "f1", "test/micro_f1": "f1"}


def model_card(record: RunRecord) -> str:
    """Write the card of a run's model: the metadata, then the report in short, limits and licences."""
    corpus, encoder = str(record.config["corpus"]["name"]), str(record.config["encoder"]["name"])
    challenges = {f"challenge/{name}/accuracy": name for name in record.details["challenges"]}
    results = [_result(record, name, corpus, kind) for name, kind in _REPORTED.items() if name in record.metrics]
    results += [_result(record, metric, name, "accuracy") for metric, name in challenges.items()]
    about = ModelCardData(
        model_name=record.recipe,
        pipeline_tag="text-classification",
        library_name="transformers",
        tags=["nli-pipeline", f"encoder:{encoder}"],
        eval_results=results,
    )
    limits = "\n".join(f"- {note}" for note in record.notes)
    licences = "\n".join(f"- {name}: {licence}" for name, licence in record.licences.items())
    text = f"# {record.recipe}\n\n{report_markdown(record)}\n\n## Limits\n\n{limits}\n\n## Licences\n\n{licences}\n"
    return str(ModelCard(f"---\n{about.to_yaml()}\n---\n\n{text}"))


def _result(record: RunRecord, metric: str, dataset: str, kind: str) -> EvalResult:
    return EvalResult(
        task_type="text-classification",
        dataset_type=dataset,
        dataset_name=dataset,
        dataset_split="test",
        metric_type=kind,
        metric_name=metric,
        metric_value=round(record.metrics[metric], 4),
    )
