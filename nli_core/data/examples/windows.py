"""Long texts as several windows, which overlap: each becomes an example of its own, and their logits are averaged.

A window holds as many tokens as there is room for, and the next one begins three quarters of that later. The last
window ends with the text, so that every window is full. (Devlin et al., 2019, read long texts so for SQuAD; Sun et al.,
2019, average over parts of documents.) Of a pair the premise is read so. The hypothesis stays whole in each window, as
long as it leaves half of the room.
"""

from dataclasses import dataclass

import numpy as np

from nli_core.arrays import IntArray
from nli_core.data.examples.join import Segment

_OVERLAP = 4  # a window shares this part of it, one fourth, with the next


@dataclass(frozen=True)
class Windows:
    """For each window [windows] its example, the token of the premise that it begins with, and how many it keeps."""

    owners: IntArray
    starts: IntArray
    kept: IntArray

    def of(self, values: IntArray, lengths: IntArray) -> Segment:
        """Cut the windows out of a flat ragged array of premises."""
        return Segment(_gather(values, lengths, self.owners, self.starts, self.kept), self.kept, self.kept)

    def repeat(self, values: IntArray, lengths: IntArray, kept: IntArray) -> Segment:
        """Repeat the first `kept` values of each example [examples] in every window of it."""
        of_windows = kept[self.owners]
        nothing = np.zeros_like(self.owners)
        return Segment(_gather(values, lengths, self.owners, nothing, of_windows), of_windows, of_windows)


def room_for_hypotheses(premise: IntArray, hypothesis: IntArray, budget: int) -> IntArray:
    """Return how many tokens of each hypothesis are kept: all that leave the premise its length, or half the room."""
    return np.minimum(hypothesis, np.maximum(budget - premise, budget // 2))


def cut_windows(lengths: IntArray, room: IntArray) -> Windows:
    """Cut texts of these lengths [examples] into windows of at most `room` [examples] tokens, which is at least 1."""
    steps = np.maximum(room - room // _OVERLAP, 1)
    counts = 1 + np.maximum(-(-(lengths - room) // steps), 0)
    owners = np.repeat(np.arange(len(lengths)), counts)
    numbers = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    last = np.maximum(lengths - room, 0)
    starts = np.minimum(numbers * steps[owners], last[owners])
    return Windows(owners, starts, np.minimum(lengths, room)[owners])


def _gather(values: IntArray, lengths: IntArray, rows: IntArray, starts: IntArray, kept: IntArray) -> IntArray:
    """Take `kept` values of the chosen rows of a flat ragged array, from `starts` in each."""
    begins = (np.cumsum(lengths) - lengths)[rows] + starts
    within = np.arange(int(kept.sum())) - np.repeat(np.cumsum(kept) - kept, kept)
    return values[np.repeat(begins, kept) + within]
