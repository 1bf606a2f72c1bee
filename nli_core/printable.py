"""Text of users as a terminal, a log or a heading may show it."""

import unicodedata

_JOINERS = "\u200c\u200d"  # within words of some scripts, and within emoji


def printable(text: str) -> str:
    r"""Write control characters, line ends and invisible marks as escapes such as `\x1b`: they steer nothing then."""
    if text.isprintable():
        return text
    return "".join(character if _is_shown(character) else repr(character)[1:-1] for character in text)


def _is_shown(character: str) -> bool:
    return character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs"
