"""The words of `notes`: what the numbers of a state stand on. Feynman writes them, and a feed may, in its snapshot.

A word is true as long as what it tells of is in the window, but for those of OF_A_TICK, which tell of the newest
sample alone. A feed's own word that is not in the table is handed through while the snapshot has it.
"""

import re

NOTES = {
    "jump": "a return above 20 times the window's σ without it, or a price 1.8 times the one before; it stays in",
    "break": "prices before and after a sample cannot be compared: their ratio across a gap or to another session is "
    "a split's, or the feed says so; no return across it, and extremes and volume profile begin anew",
    "gap": "two samples lie more than 60 steps apart (`step` in the state), or some between them are lost: no "
    "return, volume or trades across it",
    "session": "the counters of volume and trades began anew",
    "correction": "a counter fell: the feed took back what it had stated",
    "overflow": "a counter wrapped, or a whole number is too great for a float to hold",
    "rolling": "a counter falls again and again, as a 24-hour figure does: what was traded cannot be told from it",
    "two_writers": "somebody else writes the symbol's snapshot too",
    "no_volume": "the newest sample or the one before it has no volume",
    "no_trades": "the newest sample or the one before it has no number of trades",
    "mid": "the feed says that the price is the middle of bid and ask, and no trade's",
    "auction": "the feed says that the price is an auction's, or that one is in the sample; its volume is left out "
    "of `mass`",
    "off_tick": "fewer than half of the window's prices lie on the tick that the feed states, which is not used",
}
"""Each word and its meaning. The order is that of `notes`; checkpoints rely on it, so a new word comes last of its
kind."""

OF_A_TICK = frozenset({"no_volume", "no_trades", "mid", "auction", "off_tick"})

MOST_NOTES = 8

BITS = {word: 1 << place for place, word in enumerate(NOTES)}
"""The bit that stands for each word where many symbols are computed at once."""

_WORD = re.compile(r"[a-z][a-z0-9_]{0,23}", re.ASCII)
_LONGEST_TEXT = 1024


def parse(text: str | bytes | None) -> tuple[int, tuple[str, ...]]:
    """A snapshot's `notes`, words with blanks or commas between: the BITS of those in the table, and the others.

    What does not look like a word is left out, and so is what is beyond MOST_NOTES.
    """
    if not text or len(text) > _LONGEST_TEXT:
        return 0, ()
    read = text if isinstance(text, str) else text.decode(errors="replace")
    words = list(dict.fromkeys(word for word in re.split(r"[\s,]+", read) if _WORD.fullmatch(word)))[:MOST_NOTES]
    return sum(BITS.get(word, 0) for word in words), tuple(word for word in words if word not in BITS)


def words(bits: int, others: tuple[str, ...] = ()) -> list[str]:
    """The words for these bits in the table's order, then the others; MOST_NOTES in all."""
    return [*(word for word, bit in BITS.items() if bits & bit), *others][:MOST_NOTES]
