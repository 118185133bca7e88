"""The command line of a service: a flag for each setting that is no secret, and `--help`, which tells of all."""

import argparse
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from cottage.secret_values import file_variable
from cottage.unknown_arguments import unknown_arguments


class SettingHelp(NamedTuple):
    """What the command line and `--help` say of a setting."""

    name: str
    """Of its field."""
    variable: str
    description: str
    default: str
    is_secret: bool

    @property
    def flag(self) -> str:
        """That it has, or would have."""
        return f"--{self.name.replace('_', '-')}"


class SettingsParser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the texts of flags that there are not: they may be secrets."""

    def __init__(
        self, program: str, purpose: str, settings: Iterable[SettingHelp], end: Callable[[str, str], NoReturn]
    ) -> None:
        """`end` is called with the last word of `program` and what is wrong."""
        all_of_them = list(settings)
        super().__init__(
            prog=program,
            description=purpose,
            formatter_class=_LineByLine,
            epilog=_epilog([each for each in all_of_them if each.is_secret]),
            allow_abbrev=False,
        )
        self._end = end
        self._secrets: Mapping[str, str] = {each.flag: each.variable for each in all_of_them if each.is_secret}
        for each in all_of_them:
            if not each.is_secret:
                text = f"{each.description} [{each.variable}, default: {each.default}]"
                self.add_argument(each.flag, dest=each.name, metavar="VALUE", help=text.replace("%", "%%"))

    def parse_args(self, arguments: Sequence[str] | None = None) -> argparse.Namespace:  # type: ignore[override]
        given, unknown = self.parse_known_args(arguments)
        for flag in (each.partition("=")[0] for each in unknown):
            if variable := self._secrets.get(flag):
                why = "a secret has no flag, since others can read command lines"
                self.error(f"{flag}: {why}; set {variable}, or {file_variable(variable)} to the path of a file")
        if unknown:
            self.error(unknown_arguments(unknown))
        return given

    def error(self, message: str) -> NoReturn:
        self._end(self.prog.rpartition(".")[2], f"{message} (see --help)")


def _epilog(secrets: Sequence[SettingHelp]) -> str:
    """The end of `--help`: a paragraph on each line."""
    lines = [
        "Each setting is also the environment variable in brackets; a flag wins over it. An empty value is no value."
    ]
    if secrets:
        lines += [
            "",
            "Secrets, and what may contain one, have no flag, since others can read command lines. Each is the value "
            "of its variable, or the content of the file at the path in the variable that ends in _FILE, without one "
            "newline at its end:",
        ]
    for each in secrets:
        lines += [f"  {each.variable}, {file_variable(each.variable)}: {each.description} [default: {each.default}]"]
    return "\n".join(lines)


class _LineByLine(argparse.HelpFormatter):
    """Wraps each line of the epilog by itself."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        def wrapped(line: str) -> str:
            more: dict[str, Any] = {"break_on_hyphens": False, "break_long_words": False}
            return textwrap.fill(line, width, subsequent_indent="    " if line.startswith(" ") else "", **more)

        return textwrap.indent("\n".join(map(wrapped, text.splitlines())), indent)
