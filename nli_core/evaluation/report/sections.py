"""The sections of a report, each from a run's record to a title and rows of a table with a sentence below."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nli_core.evaluation.calibration import LEAST_EXAMPLES
from nli_core.evaluation.columns import TEXTS, shown
from nli_core.evaluation.report.record import RunRecord

_MOST_WORDS = 3  # of a label
_MULTI_LABEL = {
    "micro_f1": "on test, over all labels together; an answer is accurate if all its labels are right",
    "macro_f1": "mean over labels",
    "mean_average_precision": "mean over labels, whatever the thresholds",
}
_MOST_SUSPECTS = 3
_MOST_GROUPS = 6  # of a challenge set, the worst first
_MOST_CLASSES = 6
_ONE_SEED = "One seed: another one may differ by more than the interval, which is over examples."
_SHOWN_CHARACTERS = 90
Rows = list[tuple[str, ...]]


@dataclass(frozen=True)
class Part:
    """A section: its title, the header and rows of its table, and sentences below it."""

    title: str
    header: Sequence[str] = ()
    rows: Sequence[tuple[str, ...]] = ()
    sentences: Sequence[str] = ()


def headline(record: RunRecord) -> Part:
    """Return accuracy beside what it must be read against: seeds, baselines, hard examples."""
    metrics = record.metrics
    rows: Rows = [
        ("test accuracy", record.interval("test/accuracy"), f"{metrics['test/examples']:,.0f} examples"),
        ("dev accuracy", record.interval("dev/accuracy"), _chose(record, "accuracy")),
    ]
    if record.multi_label:
        rows.append(("dev micro-F1", record.interval("dev/micro_f1"), _chose(record, "micro_f1")))
        for name, meaning in _MULTI_LABEL.items():
            rows.append((name.replace("_f1", "-F1").replace("_", " "), record.interval(f"test/{name}"), meaning))
    if record.seeds:
        of_seeds = record.seeds["test/accuracy"]
        mean = f"{of_seeds.mean:.4f} [{of_seeds.low:.4f}, {of_seeds.high:.4f}]"
        rows.append((f"mean of {of_seeds.seeds} seeds", mean, f"from {of_seeds.least:.4f} to {of_seeds.most:.4f}"))
    rows.append(
        ("majority class", record.interval("baseline/majority/accuracy"), f"always {shown(record.audit['majority'])}")
    )
    name = record.audit["baseline"]
    reads = "a linear model on the words of the hypothesis" if name == "hypothesis_only" else "a linear model on words"
    rows.append((name.replace("_", " "), record.interval(f"baseline/{name}/accuracy"), reads))
    known = {
        "hard": f"where {name.replace('_', ' ')} is wrong",
        "easy": "where it is right",
        "agreed": "where all annotators chose the label",
        "disagreed": "where they did not",
        "in_train": "that train has, or nearly",
        "not_in_train": "that train does not have",
    }
    for part, meaning in known.items():
        if f"test/{part}/accuracy" in metrics:
            rows.append((part.replace("_", " "), record.interval(f"test/{part}/accuracy"), meaning))
    rows += _classes(record)
    sentences = [] if record.seeds else [_ONE_SEED]
    if aside := record.details["gate_examples"]:
        sentences.append(f"{aside:,} examples of test are set aside for promotion, and count in nothing here.")
    return Part("Accuracy", ("", "[95 % interval]", ""), rows, sentences)


def _chose(record: RunRecord, metric: str) -> str:
    return "chose the epoch" if record.config["finetune"].get("best_by") == metric else ""


def _classes(record: RunRecord) -> Rows:
    """Return accuracy on the examples of each label, the worst first."""
    labels = [label for label in record.details["labels"] if f"test/class/{label}/accuracy" in record.metrics]
    worst = sorted(labels, key=lambda label: record.metrics[f"test/class/{label}/accuracy"])[:_MOST_CLASSES]
    rows: Rows = []
    for label in worst:
        never_right = record.metrics[f"test/recall/{label}"] == 0
        meaning = f"F1 {record.metrics[f'test/f1/{label}']:.4f}{', never right' if never_right else ''}"
        if precision := record.metrics.get(f"test/average_precision/{label}"):
            meaning = f"{meaning}, average precision {precision:.4f}"
        rows.append((f"labelled {label}", record.interval(f"test/class/{label}/accuracy"), meaning))
    return rows


def over_seeds(record: RunRecord) -> Part:
    """Return what the seeds of a group say together; without a group, nothing."""
    rows = [
        (name, f"{each.mean:.4f} [{each.low:.4f}, {each.high:.4f}]", f"{each.least:.4f} – {each.most:.4f}")
        for name, each in (record.seeds or {}).items()
    ]
    whose = f"All else on this page is of the seed that is best on dev, the run {record.run_id[:8]}."
    return Part("Over seeds", ("", "mean [95 % interval]", "least – most"), rows, [whose] if rows else [])


def challenges(record: RunRecord) -> Part:
    """Return accuracy on challenge sets, by label and by group."""
    rows: Rows = []
    sentences = []
    for name, facts in record.details["challenges"].items():
        prefix = f"challenge/{name}"
        rows.append((name, record.interval(f"{prefix}/accuracy"), f"{facts['examples']:,} examples"))
        for label in facts["labels"]:
            rows.append((f"· {label}", record.interval(f"{prefix}/label/{label}/accuracy"), ""))
        groups = sorted(facts["groups"], key=lambda group: record.metrics[f"{prefix}/{group}/accuracy"])
        for group in groups[:_MOST_GROUPS]:
            by_label = [
                f"{label} {record.metrics[f'{prefix}/{group}/label/{label}/accuracy']:.2f}"
                for label in facts["labels"]
                if f"{prefix}/{group}/label/{label}/accuracy" in record.metrics
            ]
            rows.append((f"· group {group}", record.interval(f"{prefix}/{group}/accuracy"), ", ".join(by_label)))
        if len(groups) > _MOST_GROUPS:
            sentences.append(
                f"{name}: {len(groups) - _MOST_GROUPS} more groups are in the metrics; those above are the worst."
            )
        if facts["never_predicted"]:
            sentences.append(f"{name}: never predicted: {', '.join(facts['never_predicted'])}.")
        if facts["unsayable"]:
            count = sum(facts["labels"][label] for label in facts["unsayable"])
            named = ", ".join(facts["unsayable"])
            sentences.append(f"{name}: the model cannot say {named}; these {count:,} examples count as wrong.")
    if not rows and not record.multi_label:
        sentences = ["No challenge set was measured; evaluate.challenges adds hans, breaking-nli, or a file."]
    return Part("Challenge sets", ("", "accuracy [95 % interval]", ""), rows, sentences)


def shortcuts(record: RunRecord) -> Part:
    """Return the words that give a label away, and lengths by label."""
    by_label: dict[str, list[str]] = {}
    for word in record.audit["giveaways"]:
        by_label.setdefault(word["label"], []).append(f"{word['word']} ({word['share']:.0%} of {word['total']:,})")
    rows = []
    for label in record.details["labels"]:
        length = record.audit["lengths"].get(label)
        words = ", ".join(by_label.get(label, [])[:_MOST_WORDS]) or "none found"
        rows.append((label, words, f"{length['mean']:.1f} words" if length else ""))
    return Part("Shortcuts in train", ("label", "words that give it away", "mean length"), rows)


def behaviour(record: RunRecord) -> Part:
    """Return how often answers flip when texts change, with an example each."""
    rows = []
    for each in record.details["behaviour"]:
        rate = f"{each['flip_rate']:.3f} [{each['low']:.3f}, {each['high']:.3f}] of {each['examples']}"
        example = ""
        if each["after"] and each["answers"]:
            example = f"{_short(' / '.join(each['after']))}: {' → '.join(map(shown, each['answers']))}"
        judged = each["description"] if each["is_sure"] else f"{each['description']} (may change the label)"
        rows.append((each["name"].replace("_", " "), rate, judged, example))
    return Part("Behaviour", ("change", "flipped answers", "", "for example"), rows)


def calibration(record: RunRecord) -> Part:
    """Return whether probabilities mean what they say, before and after calibration."""
    rows = [
        (measure, record.interval(f"test/{name}"), record.interval(f"test/calibrated/{name}"))
        for name, measure in {"nll": "NLL", "brier": "Brier", "ece": "ECE"}.items()
    ]
    few = record.details["dev_examples"] < LEAST_EXAMPLES
    fitted = f"1, since dev has fewer than {LEAST_EXAMPLES} examples to fit one" if few else "fitted on dev"
    sentences = [
        f"Temperature {record.details['temperature']:.3f}: {fitted}. Area under the risk–coverage curve: "
        f"{record.metrics['test/aurc']:.4f}."
    ]
    answers = []
    for each in record.details["thresholds"]:
        if each["threshold"] is None:
            answers.append(f"{each['precision']:.0%}: never")
        else:
            right = "" if each["reached"] is None else f", {each['reached']:.1%} right"
            answered = f"answers {each['coverage']:.0%}{right}"
            answers.append(f"{each['precision']:.0%}: above {each['threshold']:.2f} ({answered})")
    sentences.append(f"Answer only when sure enough for {'; '.join(answers)}.")
    return Part("Calibration on test", ("", "before", "after"), rows, sentences)


def data(record: RunRecord) -> Part:
    """Return duplicates, what test shares with train, and suspect labels."""
    rows = []
    for split, facts in record.audit["duplicates"].items():
        shared = record.audit["in_train"].get(split, {})
        suspects = record.details["suspects"].get(split)
        rows.append(
            (
                split,
                f"{facts['rows']:,}",
                f"{facts['exact']:,} / {facts['normalised'] - facts['exact']:,}",
                f"{facts['two_labels']:,}",
                " / ".join(f"{shared.get(kind, 0):,}" for kind in ("exact", "normalised", "near")) if shared else "",
                f"{suspects['count']:,}" if suspects else "",
            )
        )
    closeness = "in train (exact / same words / near)"
    header = ("split", "rows", "repeated (exact / same words)", "with two labels in any split", closeness)
    suspects = record.details["suspects"]["test"]["shown"][:_MOST_SUSPECTS]
    sentences = []
    for row in suspects:
        texts = _short(" / ".join(row[name] for name in TEXTS if name in row))
        answer = f"{shown(row['label'])}, predicted {shown(row['predicted'])} ({row['probability']:.2f})"
        sentences.append(f"Suspect on test: {texts} is labelled {answer}.")
    if suspects:
        sentences.append("Suspect labels are as good as the model that suspects them.")
    if shared := record.audit.get("premises_in_train"):
        counts = " and ".join(f"{count:,} of {split}" for split, count in shared.items())
        sentences.append(f"Examples whose premise train has too: {counts}.")
    test = record.data["splits"]["test"]
    if windows := test.get("windows"):
        sentences.append(f"The {test['rows']:,} examples of test were read in {windows:,} windows.")
    if truncated := test["truncated_examples"]:
        sentences.append(f"{truncated:,} examples of test were cut at {record.config['pack']['max_length']} tokens.")
    return Part("Data", (*header, "suspect labels"), rows, sentences)


def origins(record: RunRecord) -> Part:
    """Return cost, hardware, versions, digests, limits and licences."""
    made, training = record.made_with, record.training
    hardware = ", ".join(made.get("gpus") or []) or f"{made.get('processor')}, {made.get('cores')} cores"
    versions = ", ".join(f"{name} {made[name]}" for name in ("python", "torch", "prefect", "mlflow") if made.get(name))
    code = f"{str(made.get('commit') or 'unknown')[:12]}{' with changes' if made.get('dirty') else ''}"
    cost = f"{training['training_seconds']:,.0f} s of training, {training['steps']:,} steps, {training['precision']}"
    if joules := training.get("energy_joules"):
        cost += f", {joules / 3600:,.1f} Wh of the whole machine"
    rows: Rows = [
        ("cost", cost),
        ("hardware", f"{hardware}; {training['device']}"),
        ("versions", f"{versions}; code {code}"),
        *((name, value) for name, value in record.sources.items()),
        ("licences", "; ".join(f"{name}: {licence}" for name, licence in record.licences.items())),
    ]
    return Part("Cost, origin and limits", ("", ""), rows, record.notes)


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


PARTS: Mapping[str, Any] = {
    "accuracy": headline,
    "seeds": over_seeds,
    "challenges": challenges,
    "calibration": calibration,
    "shortcuts": shortcuts,
    "behaviour": behaviour,
    "data": data,
    "origins": origins,
}
