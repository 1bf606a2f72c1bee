"""`nli export`: a fine-tuned model for other programs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from flows.cli.arguments import filled
from flows.cli.output import JsonOption, echo, print_json
from flows.local.environment import set_library_defaults
from tasks.settings import Settings


def export(
    model: Annotated[
        str,
        typer.Argument(
            callback=filled, help="champion, a registry name (nli-snli@champion), a run ID or prefix, or a folder."
        ),
    ],
    output: Annotated[Path, typer.Option(help="The folder to make.")],
    form: Annotated[
        Literal["huggingface", "onnx", "torch"],
        typer.Option("--format", help="For transformers, for ONNX runtimes, or for torch.export.load."),
    ] = "huggingface",
    calibrated: Annotated[
        bool, typer.Option("--calibrated", help="Divide its logits by the temperature that evaluate fitted.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Write a fine-tuned model with its tokenizer to a folder, for use without this project.

    Example: nli export champion --format onnx --output champion-onnx
    """
    set_library_defaults()
    from nli_core.model.export import check_packages, export_model
    from tasks.models.resolve import fine_tuned

    check_packages(form)  # before the model is fetched
    with fine_tuned(Settings.from_environment(), model) as folder:
        path = export_model(folder, output, form=form, calibrated=calibrated)
    if json:
        print_json({"format": form, "path": str(path)})
    else:
        echo(f"{form}: {path}")
