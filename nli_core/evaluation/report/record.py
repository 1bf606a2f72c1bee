"""All that a report says of a run, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nli_core.evaluation.seeds import SeedSummary


@dataclass(frozen=True)
class RunRecord:
    """A finished run: what it was asked for, what was measured, and where its data come from.

    `metrics`, `details`, `audit`, `data` and `training` are what evaluate, audit, pack and finetune reported. `config`
    has the fields by section, `made_with` versions and hardware. `notes` are limits that are known beforehand, and
    `licences` names things with their licences. `seeds` has figures of the group that the run belongs to.
    """

    run_id: str
    name: str
    recipe: str
    created: str
    config: Mapping[str, Mapping[str, Any]]
    made_with: Mapping[str, Any]
    metrics: Mapping[str, float]
    details: Mapping[str, Any]
    audit: Mapping[str, Any]
    data: Mapping[str, Any]
    training: Mapping[str, Any]
    sources: Mapping[str, str]
    notes: list[str] = field(default_factory=list)
    licences: Mapping[str, str] = field(default_factory=dict)
    verdict: str | None = None
    standing: str | None = None
    seeds: Mapping[str, SeedSummary] | None = None

    @property
    def repeat(self) -> str:
        """The command that repeats the run."""
        return f"nli run --from-mlflow {self.run_id}"

    @property
    def multi_label(self) -> bool:
        """Whether an example may have any number of labels."""
        return "test/micro_f1" in self.metrics

    def interval(self, name: str) -> str:
        """Write a metric with its 95 % interval, as far as it was measured: `0.8123 [0.8044, 0.8199]`."""
        if name not in self.metrics:
            return "not measured"
        value = f"{self.metrics[name]:.4f}"
        low, high = self.metrics.get(f"{name}_low"), self.metrics.get(f"{name}_high")
        return value if low is None or high is None else f"{value} [{low:.4f}, {high:.4f}]"
