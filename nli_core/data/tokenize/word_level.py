"""Tokenizers whose tokens are whole words: the tutorials' own, as `tokenizers` objects that travel in a JSON file.

`book_tokenizer` is Dive into Deep Learning's (15.4 and 16.7.2): words of a lower-cased parse. `learn_words` is what
Keras' TextVectorization learns in AI-For-Beginners: the most frequent words of train.
"""

from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase, Replace
from tokenizers.normalizers import Sequence as Normalizers
from tokenizers.pre_tokenizers import Sequence as PreTokenizers
from tokenizers.pre_tokenizers import Split, WhitespaceSplit
from tokenizers.trainers import WordLevelTrainer

PAD, UNKNOWN = "[PAD]", "[UNK]"
BOOK_SPECIALS = ("<cls>", "<sep>", "<pad>", "<unk>")
_PUNCTUATION = r"""[!"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~']"""  # what Keras strips

# The Penn Treebank's conventions, after lower-casing. What is replaced:
_TREEBANK_SPELLINGS = (
    (r'(?<![^\s(\[{<])"', " `` "),  # an opening quote
    ('"', " '' "),
    (r"\(", " -lrb- "),
    (r"\)", " -rrb- "),
    (r"\[", " -lsb- "),
    (r"\]", " -rsb- "),
    (r"\{", " -lcb- "),
    (r"\}", " -rcb- "),
)
# ... and what becomes a token of its own, although no space is around it:
_TREEBANK_TOKENS = "|".join(
    (
        r"\.\.\.",
        "--",
        r"[;@#$%&?!]",
        r"[:,](?!\d)",
        r"(?<!\.)\.(?=[\s'`]*$)",  # the full stop of a sentence, not that of an abbreviation
        "n't(?!\\w)",
        "''",
        r"'(?:s|m|d|re|ve|ll)(?!\w)",
        r"(?<=\w)'(?=\s|$)",
        r"\bcan(?=not\b)|\bgon(?=na\b)|\bgot(?=ta\b)|\bwan(?=na\b)|\blem(?=me\b)|\bgim(?=me\b)",
    )
)


def book_tokenizer(vocabulary: Sequence[str]) -> Tokenizer:
    """Make a tokenizer from lower-cased words to their indices in `vocabulary`, which holds `<unk>`.

    Raw text is split as the Penn Treebank does. A parse is split already: see `parsed_words`.
    """
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(vocabulary)}, unk_token="<unk>"))
    tokenizer.normalizer = Normalizers(
        [Lowercase(), *(Replace(Regex(pattern), text) for pattern, text in _TREEBANK_SPELLINGS)]
    )
    tokenizer.pre_tokenizer = PreTokenizers([Split(Regex(_TREEBANK_TOKENS), "isolated"), WhitespaceSplit()])
    return tokenizer


def parsed_words(tokenizer: Tokenizer) -> Tokenizer:
    """Make the book's tokenizer for text whose words are separate already, like a parse without its brackets."""
    copied = Tokenizer.from_str(tokenizer.to_str())
    copied.normalizer = Lowercase()
    copied.pre_tokenizer = WhitespaceSplit()
    return copied


def learn_words(texts: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """Learn a tokenizer over the most frequent words, most frequent first, after `[PAD]` (0) and `[UNK]` (1).

    Words are lower-cased, and punctuation is removed. Words that are equally frequent are in order of
    their letters.
    """
    tokenizer = Tokenizer(WordLevel(unk_token=UNKNOWN))
    tokenizer.normalizer = Normalizers([Lowercase(), Replace(Regex(_PUNCTUATION), "")])
    tokenizer.pre_tokenizer = WhitespaceSplit()
    trainer = WordLevelTrainer(vocab_size=vocabulary_size, special_tokens=[PAD, UNKNOWN], show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
