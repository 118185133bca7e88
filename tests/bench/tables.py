"""Tables of the simulations, as Markdown, to be read as they are."""

from collections.abc import Sequence


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    print(f"\n{title}\n")
    print(_row(heads))
    print(_row(["---"] * len(heads)))
    for row in rows:
        print(_row([f"{value:.2f}" if isinstance(value, float) else str(value) for value in row]), flush=True)


def percent(value: float, digits: int = 0) -> str:
    return f"{100 * value:.{digits}f} %"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
