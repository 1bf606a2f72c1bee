"""Small changes of texts that should not change an answer, as in CheckList's invariance tests (Ribeiro et al., 2020).

A change takes the texts of an example and a source of chance. It returns the changed texts, or None where it does not
apply. One that may change the label after all is not `is_sure`: how often it flips answers is shown and not judged.
"""

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

Texts = tuple[str, ...]
Make = Callable[[Texts, random.Random], Texts | None]

_LEAST_LETTERS = 4  # of a word that gets a typo
_WORD = re.compile(r"[A-Za-z]+")
_NAMES = (
    "Alice|Anna|Bob|Carlos|Charlie|David|Elena|Emily|Emma|George|Hannah|Henry|Ivan|Jack|James|Jane|John|Julia|Kate|"
    "Laura|Linda|Lucy|Maria|Mark|Martin|Mary|Michael|Olivia|Oscar|Paul|Peter|Robert|Sam|Sarah|Sofia|Thomas|Tom|William"
)
_NUMBERS = "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
_DIGITS = "2|3|4|5|6|7|8|9|10|11|12"


@dataclass(frozen=True)
class Change:
    """A change of texts, what it does in words, and whether it surely keeps the label."""

    make: Make
    description: str
    is_sure: bool = True


def _case(texts: Texts, chance: random.Random) -> Texts | None:
    lower = tuple(text.lower() for text in texts)
    return lower if lower != texts else tuple(text.capitalize() for text in texts)


def _punctuation(texts: Texts, chance: random.Random) -> Texts | None:
    return tuple(text.rstrip()[:-1] if text.rstrip().endswith(".") else f"{text.rstrip()}." for text in texts)


def _white_space(texts: Texts, chance: random.Random) -> Texts | None:
    return tuple(f" {text.replace(' ', '  ')} " for text in texts)


def _typo(texts: Texts, chance: random.Random) -> Texts | None:
    """Swap two neighbouring letters within a content word of the last text."""
    *others, text = texts
    words = [
        found
        for found in _WORD.finditer(text)
        if len(found[0]) >= _LEAST_LETTERS and found[0].lower() not in ENGLISH_STOP_WORDS
    ]
    places = [
        place
        for found in words
        for place in range(found.start() + 1, found.end() - 2)
        if text[place] != text[place + 1]
    ]
    if not places:
        return None
    place = chance.choice(places)
    return (*others, text[:place] + text[place + 1] + text[place] + text[place + 2 :])


def _names(texts: Texts, chance: random.Random) -> Texts | None:
    """Replace every given name by another one, alike in all texts."""
    return _exchanged(texts, _NAMES, chance)


def _numbers(texts: Texts, chance: random.Random) -> Texts | None:
    """Replace every number from two to twelve by another one, alike in all texts."""
    digits = _exchanged(texts, _DIGITS, chance)
    return _exchanged(digits or texts, _NUMBERS, chance) or digits


def _exchanged(texts: Texts, listed: str, chance: random.Random) -> Texts | None:
    """Replace the listed words by others of the list; None if there is none, or not enough others."""
    words = listed.split("|")
    pattern = re.compile(rf"(?<![\w.,])({listed})(?![\w]|[.,]\d)")
    present = {found[1] for text in texts for found in pattern.finditer(text)}
    if not present:
        return None
    free = [word for word in words if word not in present]
    if len(free) < len(present):
        return None
    others = dict(zip(sorted(present), chance.sample(free, len(present)), strict=True))
    return tuple(pattern.sub(lambda found: others[found[1]], text) for text in texts)


CHANGES: Mapping[str, Change] = {
    "case": Change(_case, "letters in lower case, or else the first one in upper case"),
    "punctuation": Change(_punctuation, "a full stop added at the end, or taken away"),
    "white_space": Change(_white_space, "two spaces for one, and spaces at both ends"),
    "typo": Change(_typo, "two neighbouring letters of a content word swapped"),
    "names": Change(_names, "given names exchanged for others", is_sure=False),
    "numbers": Change(_numbers, "numbers exchanged for others", is_sure=False),
}
