"""`nli attention`: what a model attends to, as a picture."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.arguments import filled
from flows.cli.output import JsonOption, echo, print_json
from flows.local.environment import set_library_defaults
from nli_core.errors import UserError
from tasks.settings import Settings

_FORMATS = (".png", ".svg", ".pdf")


def attention(
    model: Annotated[
        str, typer.Argument(callback=filled, help="An MLflow run ID or prefix, a model's URI, a folder, or minilm-l6.")
    ],
    premise: Annotated[str, typer.Argument(callback=filled, help="The premise, or the only text.")],
    hypothesis: Annotated[str | None, typer.Argument(callback=filled, help="The hypothesis.")] = None,
    layer: Annotated[int | None, typer.Option(help="Layer, from 1; by default the last.")] = None,
    head: Annotated[int | None, typer.Option(help="Head, from 1; by default the mean of all.")] = None,
    output: Annotated[Path, typer.Option(help="File of the picture.")] = Path("attention.png"),
    json: JsonOption = False,
) -> None:
    """Draw the attention weights of a model for one example, tokens on both axes.

    Example: nli attention minilm-l6 "A man plays a guitar." "Somebody makes music." --layer 3
    """
    if output.suffix not in _FORMATS or output.is_dir():
        raise UserError(f"--output {output}: name a file that ends in {', '.join(_FORMATS)}")
    if not output.parent.is_dir():
        raise UserError(f"--output {output}: there is no folder {output.parent}; make it, or name another file")
    set_library_defaults()
    from nli_core.evaluation.figures import save_attention
    from nli_core.inference.inspector import Inspector
    from tasks.models.resolve import model_folder

    with tempfile.TemporaryDirectory() as scratch:
        inspected = Inspector(model_folder(model, Settings.from_environment(), Path(scratch))).inspect(
            premise, hypothesis
        )
    weights = inspected.attention(layer, head)
    which = f"layer {layer or len(inspected.outputs.attentions)}, {f'head {head}' if head else 'mean of heads'}"
    save_attention(weights.double().numpy(), inspected.tokens, f"{model}: {which}", output)
    if json:
        print_json({"tokens": inspected.tokens, "path": str(output)})
    else:
        echo(f"{which}, {len(inspected.tokens)} tokens: {output}")
