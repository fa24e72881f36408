"""How text is spelt on a console: printable characters only, and only those that its encoding has.

Names of layers and files come from users; a control character in them must not reach a terminal.
"""

from dataclasses import dataclass

__all__ = ["Spelling"]

_PLAIN = {
    "–": "-",
    "±": "+-",
    "≤": "<=",
    "≥": ">=",
    "…": "...",
    "²": "^2",
    "χ": "chi",
    "λ": "lambda",
    "×": "x",
    "−": "-",
}


@dataclass(frozen=True)
class Spelling:
    """The spelling of one encoding; call it with a text before the text is measured and laid out."""

    encoding: str = "utf-8"

    @property
    def ascii_only(self) -> bool:
        """Whether the encoding lacks the signs of the tables ("–", "±", "…", and the rule)."""
        try:
            "–±≤…─²".encode(self.encoding)
        except (UnicodeEncodeError, LookupError):
            return True
        return False

    def __call__(self, text: str) -> str:
        """Return `text` with line breaks as spaces, other control characters and what cannot be encoded escaped."""
        flat = "".join(c if c.isprintable() else " " if c in "\t\r\n" else ascii(c)[1:-1] for c in text)
        if not self.ascii_only:
            return flat.encode(self.encoding, "backslashreplace").decode(self.encoding)
        plain = "".join(_PLAIN.get(c, c) for c in flat)
        return plain.encode("ascii", "backslashreplace").decode("ascii")
