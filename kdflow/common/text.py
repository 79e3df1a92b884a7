"""Text from outside, such as the names of runs, folders and classes, made safe to show."""

import re
import shlex

# They print as nothing, though Unicode counts them as letters or marks: names that look alike would differ in them.
_INVISIBLE = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"
_SHOWN_AS_NOTHING = re.compile(f"[{_INVISIBLE}]")


def plain(text: str) -> str:
    """Returns `text` as one line of visible characters.

    Line breaks and runs of white space become one blank. Control characters, escape sequences, marks that turn the
    direction of writing, letters without width and lone surrogates become U+FFFD, so that none of them acts.
    """
    visible = "".join(letter if letter.isprintable() or letter.isspace() else "\ufffd" for letter in text)
    return " ".join(_SHOWN_AS_NOTHING.sub("\ufffd", visible).split())


def redact(text: str) -> str:
    """A text whose addresses have lost user names, passwords and queries, even those that are not quite addresses."""
    text = re.sub(r"(\w://)\S*@", r"\1", text)
    text = re.sub(r"(?<![^\s/:@])[^\s/:@]+:[^\s/:@]+@", "", text)
    text = re.sub(r"[?&#][\w.-]+=\S*", "", text)
    return re.sub(r"(?i)\b(password|token)=\S+", r"\1=...", text)


def command(*words: str) -> str:
    """A command as it is typed in a shell: words with blanks, quotes or dollar signs are quoted."""
    return shlex.join(words)
