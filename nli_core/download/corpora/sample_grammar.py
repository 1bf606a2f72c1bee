"""The sample corpus: premise/hypothesis pairs from a small grammar over one scene.

A scene has a subject, an action and a place. Each of these slots is filled from a small taxonomy of three levels (a
girl is a child is a person). In a hypothesis one slot, the *critical* one, is on the middle level, the others on any.
A premise is the same sentence with the critical slot replaced. The relation between the two fillers decides the label,
as in natural logic (MacCartney and Manning, 2009):

    premise's filler is ...      plain hypothesis    negated hypothesis
    below the hypothesis's       entailment          contradiction
    beside it (disjoint)         contradiction       entailment
    above it                     neutral             neutral

Quantities work likewise: exactly five children make "at least three children" true, two make it false, some leave it
open.

Every hypothesis comes with all three labels, and its three premises share every other word. So neither the hypothesis
alone nor the number of shared words predicts the label. The three pairs of a hypothesis stay in one split.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

LABELS = ("entailment", "contradiction", "neutral")


@dataclass(frozen=True)
class Concept:
    """A filler on the middle level, its hyponyms, and the hypernym that it shares with its disjoint siblings."""

    name: str
    below: tuple[str, ...]
    above: str


@dataclass(frozen=True)
class Pair:
    """One example of the sample corpus."""

    premise: str
    hypothesis: str
    label: str


def _family(above: str, **members: str) -> tuple[Concept, ...]:
    """Make disjoint concepts below one hypernym; keys are names, values the comma-separated hyponyms."""
    return tuple(
        Concept(name.replace("_", " "), tuple(part.strip() for part in below.split(",")), above)
        for name, below in members.items()
    )


_SUBJECTS = (
    _family("person", child="girl, boy, toddler", man="grandfather, fisherman, groom", woman="grandmother, bride, nun"),
    _family("worker", cook="chef, baker", musician="drummer, pianist", builder="carpenter, bricklayer"),
)
_ACTIONS = (
    _family(
        "eating something",
        eating_fruit="eating an apple, eating a banana, eating grapes",
        eating_meat="eating a steak, eating a sausage, eating bacon",
        eating_dessert="eating ice cream, eating a cake, eating pudding",
    ),
    _family(
        "playing",
        playing_an_instrument="playing the violin, playing the drums, playing a guitar",
        playing_a_sport="playing tennis, playing football, playing hockey",
        playing_a_board_game="playing chess, playing checkers",
    ),
    _family(
        "riding something",
        riding_an_animal="riding a horse, riding a camel, riding a donkey",
        riding_a_vehicle="riding a motorcycle, riding a scooter, riding a bicycle",
    ),
    _family(
        "carrying something",
        carrying_a_tool="carrying a hammer, carrying a saw, carrying a shovel",
        carrying_a_toy="carrying a doll, carrying a kite, carrying a teddy bear",
        carrying_a_drink="carrying a lemonade, carrying a coffee, carrying a beer",
    ),
    _family(
        "feeding an animal",
        feeding_a_bird="feeding a parrot, feeding a pigeon, feeding a duck",
        feeding_a_dog="feeding a poodle, feeding a puppy, feeding a terrier",
        feeding_a_fish="feeding a goldfish, feeding a trout",
    ),
    _family(
        "washing something",
        washing_clothes="washing a shirt, washing socks, washing a jacket",
        washing_dishes="washing a plate, washing cups, washing bowls",
        washing_a_vehicle="washing a car, washing a truck, washing a van",
    ),
)
_PLACES = (
    _family(
        "somewhere",
        inside_a_building="inside a library, inside a school, inside a museum",
        out_in_nature="out in a forest, out in a meadow, out in a desert",
        on_the_water="on a lake, on a river, on the sea",
    ),
)
_SLOTS = {"subject": _SUBJECTS, "action": _ACTIONS, "place": _PLACES}
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_PLURALS = {
    "child": "children",
    "man": "men",
    "woman": "women",
    "person": "people",
    "fisherman": "fishermen",
}


def generate(pairs: int, seed: int) -> dict[str, list[Pair]]:
    """Generate the corpus by split: two thirds train, a sixth dev, a sixth test. A pure function of its arguments.

    `pairs` counts all splits together and must be a multiple of 3.
    """
    random_source = random.Random(seed)
    triples = _distinct_triples(random_source)
    groups = [next(triples) for _ in range(pairs // 3)]
    held_out = len(groups) // 6
    parts = {"test": groups[:held_out], "dev": groups[held_out : 2 * held_out], "train": groups[2 * held_out :]}
    corpus = {split: [pair for group in part for pair in group] for split, part in parts.items()}
    for split_pairs in corpus.values():
        random_source.shuffle(split_pairs)
    return corpus


def _distinct_triples(random_source: random.Random) -> Iterator[tuple[Pair, Pair, Pair]]:
    """Yield triples forever; their hypotheses differ until every one has been used once."""
    seen: set[str] = set()
    repeats = 0
    while True:
        triple = random_source.choice((_plain,) * 6 + (_negated,) * 3 + (_counted,))(random_source)
        hypothesis = triple[0].hypothesis
        if hypothesis in seen and repeats < 1000:
            repeats += 1
            continue
        repeats = 0
        seen.add(hypothesis)
        yield triple


@dataclass(frozen=True)
class _Scene:
    """The concept of each slot, the family that it was taken from, and the filler that the hypothesis uses."""

    concepts: dict[str, Concept]
    families: dict[str, tuple[Concept, ...]]
    fillers: dict[str, str]

    @classmethod
    def draw(cls, random_source: random.Random, critical: str | None) -> "_Scene":
        """Draw a random scene; its critical slot is on the middle level, the others on any."""
        families = {slot: random_source.choice(options) for slot, options in _SLOTS.items()}
        concepts = {slot: random_source.choice(family) for slot, family in families.items()}
        fillers = {
            slot: concept.name
            if slot == critical
            else random_source.choice((concept.name, concept.above, *concept.below))
            for slot, concept in concepts.items()
        }
        return cls(concepts, families, fillers)


def _triple(random_source: random.Random, *, negated: bool) -> tuple[Pair, Pair, Pair]:
    critical = "action" if negated else random_source.choice(tuple(_SLOTS))
    scene = _Scene.draw(random_source, critical)
    concept = scene.concepts[critical]
    sibling = random_source.choice([other for other in scene.families[critical] if other is not concept])
    below, beside = random_source.choice(concept.below), random_source.choice((sibling.name, *sibling.below))
    hypothesis = _sentence(scene.fillers, verb="is not" if negated else "is")
    true, false = (beside, below) if negated else (below, beside)
    return (
        Pair(_sentence({**scene.fillers, critical: true}), hypothesis, "entailment"),
        Pair(_sentence({**scene.fillers, critical: false}), hypothesis, "contradiction"),
        Pair(_sentence({**scene.fillers, critical: concept.above}), hypothesis, "neutral"),
    )


def _plain(random_source: random.Random) -> tuple[Pair, Pair, Pair]:
    return _triple(random_source, negated=False)


def _negated(random_source: random.Random) -> tuple[Pair, Pair, Pair]:
    return _triple(random_source, negated=True)


def _counted(random_source: random.Random) -> tuple[Pair, Pair, Pair]:
    fillers = _Scene.draw(random_source, critical=None).fillers
    bound = random_source.randint(3, 8)
    at_least = random_source.random() < 0.5
    more = _NUMBERS[random_source.randint(bound + 1, 10) - 1]
    fewer = _NUMBERS[random_source.randint(2, bound - 1) - 1]
    hypothesis = _sentence(fillers, amount=f"{'at least' if at_least else 'at most'} {_NUMBERS[bound - 1]}")
    true, false = (more, fewer) if at_least else (fewer, more)
    return (
        Pair(_sentence(fillers, amount=f"exactly {true}"), hypothesis, "entailment"),
        Pair(_sentence(fillers, amount=f"exactly {false}"), hypothesis, "contradiction"),
        Pair(_sentence(fillers, amount="some"), hypothesis, "neutral"),
    )


def _sentence(fillers: dict[str, str], *, verb: str = "is", amount: str | None = None) -> str:
    subject = fillers["subject"]
    if amount is None:
        start = f"{'an' if subject[0] in 'aeiou' else 'a'} {subject}"
    else:
        verb, start = "are", f"{amount} {_PLURALS.get(subject, subject + 's')}"
    text = f"{start} {verb} {fillers['action']} {fillers['place']}."
    return text[0].upper() + text[1:]
