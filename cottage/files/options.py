"""What a user may state about a recording, where it cannot be told from the file or should be taken otherwise."""

from dataclasses import dataclass, fields

from cottage.errors import SettingsError

CHOICES = {
    "stamp": ("open", "close"),
    "conditions": ("all", "tape"),
}
DECIMALS = {"decimal-point": ".", "decimal-comma": ","}
"""Words of FORMAT= that say how numbers are written."""
ORDERS = ("day-first", "month-first", "year-first", "oldest-first", "newest-first", "sort")


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """FORMAT= TIME= ZONE= STAMP= PRICE= SIZE= SYMBOL= ORDER= CONDITIONS=. What is empty is found out from the
    file."""

    format: str = ""
    """The name of a vendor's format (meaning/vendors.py), or the columns of a file without a header, in order,
    comma-separated: `time,open,high,low,close,volume`; `-` for a column that does not matter. One of DECIMALS may
    stand among them, or alone."""
    time: str = ""
    """The name of the column that says when a row is published, or `exchange` or `receive`."""
    zone: str = ""
    """The zone of times that state none: `America/New_York`, `UTC`, `-05:00`."""
    stamp: str = ""
    """Whether a bar is stamped with its `open` or its `close`."""
    price: str = ""
    """The name of the column of the price, or `adj` for the adjusted close."""
    size: str = ""
    """The name of the column of size or volume."""
    symbol: str = ""
    """The symbol of a file that names none; where it has a column of symbols, the name of that column."""
    order: str = ""
    """Words of ORDERS, comma-separated: of day and month in a date; of rows of the same time; `sort` to sort a file
    that looks sorted and is not."""
    conditions: str = ""
    """Which prints count: `all`, or those that the consolidated tape takes for its last price, `tape`."""

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if (value := getattr(self, name)) not in ("", *choices):
                raise SettingsError(f"{name.upper()}={value} is none of {', '.join(choices)}")
        for word in filter(None, self.order.split(",")):
            if word not in ORDERS:
                raise SettingsError(f"ORDER={word} is none of {', '.join(ORDERS)}")

    @property
    def decimal(self) -> str:
        """The decimal mark that is stated in `format`, `.` or `,`; else empty."""
        return next((DECIMALS[word] for word in self.format.split(",") if word in DECIMALS), "")

    @property
    def layout(self) -> str:
        """What `format` states besides: a vendor's format, or columns."""
        return ",".join(word for word in self.format.split(",") if word not in DECIMALS)

    @property
    def stated(self) -> dict[str, str]:
        """Those that are stated."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name))}
