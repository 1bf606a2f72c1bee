import numpy as np
import pytest

from nli_core.data.truncation import longest_first


def _popped(premise: int, hypothesis: int, budget: int) -> tuple[int, int]:
    """The book's loop, token by token: the longer text loses its last token, on a tie the hypothesis."""
    while premise + hypothesis > budget:
        if premise > hypothesis:
            premise -= 1
        else:
            hypothesis -= 1
    return premise, hypothesis


@pytest.mark.parametrize("budget", [5, 6, 13, 14, 25])
def test_the_closed_form_is_the_loop(budget: int) -> None:
    lengths = [(premise, hypothesis) for premise in range(30) for hypothesis in range(30)]
    premises, hypotheses = np.array(lengths).T
    kept = np.stack(longest_first(premises, hypotheses, budget), axis=1)
    assert kept.tolist() == [list(_popped(*pair, budget)) for pair in lengths]
