"""A family of encoders is one file and one line: the one in docs/architecture.md, on a copy of the core."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file

USE = """
import json, sys
from pathlib import Path

import torch

from nli_core.fingerprint.code import code_of
from nli_core.model.weights import load_encoder
from nli_core.run.plan import ENTRIES

toy, bert = (load_encoder(Path(folder))[0].eval() for folder in sys.argv[1:])
ids, lengths = torch.arange(5, 25).view(2, 10), torch.tensor([10, 4])
types = torch.zeros_like(ids)
with torch.no_grad():
    hidden = bert(ids, types, lengths)
    averages = torch.stack([row[:length].mean(dim=0) for row, length in zip(hidden, lengths)])
    same = torch.allclose(toy.pooled(ids, types, lengths), torch.tanh(bert.pooler(averages)), atol=1e-6)
print(json.dumps([same, code_of(*ENTRIES["finetune"], "nli_core.model.families.bert:FAMILY").digest]))
"""


def _run(core: Path, *words: str) -> list[object]:
    done = subprocess.run(
        [sys.executable, "-c", USE, *words], cwd=core.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told: list[object] = json.loads(done.stdout)
    return told


def test_the_family_of_the_page_on_architecture(tmp_path: Path, project: Path, tiny_encoder: Path) -> None:
    page = (project / "docs" / "architecture.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    core = Path(shutil.copytree(project / "nli_core", tmp_path / "nli_core"))
    before = _run(core, str(tiny_encoder), str(tiny_encoder))
    families = core / "model" / "families"
    (families / "toy.py").write_text(code)
    registry = (families / "registry.py").read_text(encoding="utf-8")
    (families / "registry.py").write_text(registry.replace("FAMILIES = {", 'FAMILIES = {\n    "toy": "toy",'))
    toy = shutil.copytree(tiny_encoder, tmp_path / "toy")
    described = json.loads((toy / "config.json").read_text())
    (toy / "config.json").write_text(json.dumps({**described, "model_type": "toy"}))
    tensors = load_file(toy / "model.safetensors")
    save_file({f"toy.{name}": tensor for name, tensor in tensors.items()}, toy / "model.safetensors")
    after = _run(core, str(toy), str(tiny_encoder))
    assert (before[0], after[0]) == (False, True)
    assert before[1] == after[1], "a new family would train every BERT again"
