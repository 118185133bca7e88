"""Whether a cell is a number or a time, until numbers.py and times.py say it."""

import re

_NUMBER = re.compile(r"[-+(]?[$€£¥]?\s*[-+]?(\d[\d,.'  \u00a0]*|\.\d+)([eE][-+]?\d+)?\s*[%KMBkmb]?\)?", re.ASCII)
_TIME = re.compile(
    r"(\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{2,4}|"
    r"\d{8}([ T]\d{4,9}|\s+\d\d:)|\d{1,2}:\d\d)[^,;|\t]*"
)


def is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text.strip()) is not None and not is_time(text)


def is_time(text: str) -> bool:
    return _TIME.fullmatch(text.strip()) is not None
