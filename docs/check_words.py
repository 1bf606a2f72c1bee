"""Refuse the glossary's "never" phrases, and sentences of more than 25 words, in documents, docstrings and messages."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
MOST_WORDS = 25
PACKAGES = ("flows", "tasks", "nli_core")
GLOSSARY = PROJECT / "docs" / "glossary.md"
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_INLINE_CODE = re.compile(r"``?[^`\n]+``?")
_SENTENCE_END = re.compile(r"(?<=[.!?:;])[\"')\]]*\s+|\n\s*\n|\n(?=\s*[-*|#>\d])")

Passage = tuple[Path, int, str]


def main() -> int:
    """Print each fault with its file and line; return 1 if there is any."""
    never = _never_phrases()
    faults = [
        f"{path.relative_to(PROJECT)}:{line}: {fault}"
        for path, line, text in (*_documents(), *_code())
        for fault in _faults(text, never)
    ]
    print("\n".join(faults) or "words: no fault found")
    return 1 if faults else 0


def _never_phrases() -> re.Pattern[str]:
    phrases: list[str] = []
    for row in GLOSSARY.read_text(encoding="utf-8").splitlines():
        cells = row.strip("|").split("|")
        phrases += re.findall(r"`([^`]+)`", cells[-1]) if row.startswith("|") and len(cells) == 3 else []
    return re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, sorted(phrases, key=len, reverse=True)))})(?![\w-])", re.I)


def _documents() -> Iterator[Passage]:
    """Yield the prose of the documents, paragraph by paragraph; code and the glossary itself are left out."""
    documents = (*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"))
    for path in sorted(set(documents) - {GLOSSARY}):
        text = _FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), path.read_text(encoding="utf-8"))
        line = 1
        for paragraph in re.split(r"(\n\s*\n)", text):
            yield path, line + len(paragraph) - len(paragraph.lstrip("\n")), paragraph
            line += paragraph.count("\n")


def _code() -> Iterator[Passage]:
    """Yield docstrings, messages and comments of the packages."""
    for path in sorted(file for package in PACKAGES for file in (PROJECT / package).rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
                yield path, node.lineno, _without_drawings(node.value)
        for line, comment in enumerate(source.splitlines(), start=1):
            if found := re.search(r"(?:^|\s)# (.+)$", comment):
                yield path, line, found[1]


def _without_drawings(text: str) -> str:
    """Leave out indented lines, which draw layouts and tables."""
    lines = text.splitlines()
    indents = [len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()]
    margin = min(indents, default=0)
    return "\n".join(line for line in lines if len(line) - len(line.lstrip()) < margin + 4 or not line.strip())


def _faults(text: str, never: re.Pattern[str]) -> Iterator[str]:
    prose = _INLINE_CODE.sub("code", text)
    for found in never.finditer(prose):
        yield f"says {found[0]!r}; the glossary has another word"
    for sentence in _SENTENCE_END.split(prose):
        words = [word for word in sentence.split() if any(letter.isalnum() for letter in word)]
        if len(words) > MOST_WORDS and "|" not in sentence:
            yield f"a sentence of {len(words)} words: {' '.join(words[:8])} …"


if __name__ == "__main__":
    sys.exit(main())
