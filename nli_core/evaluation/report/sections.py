"""The sections of a report, each from a run's record to a title and rows of a table with a sentence below."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nli_core.evaluation.report.record import RunRecord

_MOST_WORDS = 3  # of a label
_MOST_SUSPECTS = 3
_MOST_GROUPS = 6  # of a challenge set, the worst first
_SLASHES = 3  # in challenge/NAME/GROUP/accuracy
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
    rows = [
        ("test accuracy", record.interval("test/accuracy"), f"{metrics['test/examples']:,.0f} examples"),
        ("dev accuracy", record.interval("dev/accuracy"), "chose the epoch"),
    ]
    if record.seeds:
        of_seeds = record.seeds["test/accuracy"]
        shown = f"{of_seeds.mean:.4f} [{of_seeds.low:.4f}, {of_seeds.high:.4f}]"
        rows.append((f"mean of {of_seeds.seeds} seeds", shown, f"from {of_seeds.least:.4f} to {of_seeds.most:.4f}"))
    rows.append(("majority class", record.interval("baseline/majority/accuracy"), f"always {record.audit['majority']}"))
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
    seeds = (
        [] if record.seeds else ["One seed: another one may differ by more than the interval, which is over examples."]
    )
    return Part("Accuracy", ("", "[95 % interval]", ""), rows, seeds)


def challenges(record: RunRecord) -> Part:
    """Return accuracy on challenge sets, by label and by group."""
    rows: Rows = []
    sentences = []
    for name, facts in record.details["challenges"].items():
        prefix = f"challenge/{name}"
        rows.append((name, record.interval(f"{prefix}/accuracy"), f"{facts['examples']:,} examples"))
        for label in facts["labels"]:
            rows.append((f"· {label}", record.interval(f"{prefix}/label/{label}/accuracy"), ""))
        groups = [
            metric
            for metric in record.metrics
            if metric.startswith(f"{prefix}/") and metric.endswith("/accuracy") and metric.count("/") == _SLASHES
        ]
        for metric in sorted(groups, key=lambda metric: record.metrics[metric])[:_MOST_GROUPS]:
            group = metric.split("/")[2]
            by_label = [
                f"{label} {record.metrics[f'{prefix}/{group}/label/{label}/accuracy']:.2f}"
                for label in facts["labels"]
                if f"{prefix}/{group}/label/{label}/accuracy" in record.metrics
            ]
            rows.append((f"· group {group}", record.interval(metric), ", ".join(by_label)))
        if facts["never_predicted"]:
            sentences.append(f"{name}: never predicted: {', '.join(facts['never_predicted'])}.")
    if not rows:
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
            example = f"{_short(' / '.join(each['after']))}: {each['answers'][0]} → {each['answers'][1]}"
        judged = each["description"] if each["is_sure"] else f"{each['description']} (may change the label)"
        rows.append((each["name"].replace("_", " "), rate, judged, example))
    return Part("Behaviour", ("change", "flipped answers", "", "for example"), rows)


def calibration(record: RunRecord) -> Part:
    """Return whether probabilities mean what they say, before and after calibration."""
    rows = [
        (shown, record.interval(f"test/{name}"), record.interval(f"test/calibrated/{name}"))
        for name, shown in {"nll": "NLL", "brier": "Brier", "ece": "ECE"}.items()
    ]
    sentences = [
        f"Temperature {record.details['temperature']:.3f}, fitted on dev; area under the risk–coverage curve "
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
                f"{facts['exact']:,} / {facts['normalised']:,}",
                f"{facts['two_labels']:,}",
                " / ".join(f"{shared.get(kind, 0):,}" for kind in ("exact", "normalised", "near")) if shared else "",
                f"{suspects['count']:,}" if suspects else "",
            )
        )
    header = (
        "split",
        "rows",
        "repeated (exact / normalised)",
        "with two labels",
        "in train (exact / normalised / near)",
    )
    shown = record.details["suspects"]["test"]["shown"][:_MOST_SUSPECTS]
    sentences = [
        f"Suspect: {_short(' / '.join(row[name] for name in ('premise', 'hypothesis') if name in row))} is labelled "
        f"{row['label']}, predicted {row['predicted']} ({row['probability']:.2f})."
        for row in shown
    ]
    truncated = record.data["splits"]["test"]["truncated_examples"]
    if truncated:
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
    "challenges": challenges,
    "calibration": calibration,
    "shortcuts": shortcuts,
    "behaviour": behaviour,
    "data": data,
    "origins": origins,
}
