"""Where settings are said, and how they become the dataclasses that describe them.

Reads a TOML file and ``EDGE_SECTION__KEY`` of the environment (``EDGE_CLOUD__ARCHIVE__0__URL`` for
an array of tables), which wins, and remembers for every key the line or the variable that said it.
Promises that every error names that place. Knows no key by name: what there is, and of which type,
is what the dataclasses say.

Below the file lies the box's own one (`under`): what that says holds where the file and the
environment say nothing. An array counts as one value there: nobody mixes two lists of archives.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import re
import tomllib
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from edge.errors import ConfigError

__all__ = ["Settings"]

_T = TypeVar("_T")
_Keys = tuple[str, ...]
_PREFIX = "EDGE_"
_NAMES_THE_FILE = "EDGE_CONFIG"
_MOST = 2**63
"""No number here is as large: it would not fit into the index."""
_HEADER = re.compile(r"\s*(\[\[?)\s*([\w.\-\"' ]+?)\s*\]")
_KEY = re.compile(r"\s*([\w.\-\"']+)\s*=")
_INLINE_KEY = re.compile(r"[{,]\s*([\w\-]+)\s*=")
_INDEX = re.compile("[0-9]{1,4}")
_SHOULD_BE = {str: "text", int: "a whole number", bool: "true or false", float: "a number"}


@dataclass(frozen=True, slots=True)
class _Variable:
    name: str
    text: str


class Settings:
    """What a file and the environment say.

    Args:
        path: The file; None if there is none.
        environ: Where the variables are.

    Raises:
        ConfigError: The file can't be read or is not TOML, or a variable names no possible key.
    """

    def __init__(self, path: Path | None, environ: Mapping[str, str]) -> None:
        self._file = "" if path is None else str(path)
        self._variables: dict[_Keys, _Variable] = {}
        text = "" if path is None else _read(path)
        self._places = {keys: f"{self._file}:{line}" for keys, line in _lines(text).items()}
        self._tree: dict[str, Any] = _parsed(text, self._file)
        for name, value in sorted(environ.items()):
            if name.startswith(_PREFIX) and name != _NAMES_THE_FILE:
                self._overlay(_Variable(name, value))

        self.own_text = ""
        """What the file below says, to the letter."""
        self._own: dict[str, Any] = {}
        self._fixed = self._tree

    def under(self, path: Path, text: str) -> None:
        """Have what another file says hold wherever nothing was said yet.

        Args:
            path: Its name.
            text: Its content.

        Raises:
            ConfigError: It is not TOML.
        """
        self._own, fixed = _parsed(text, str(path)), self._fixed
        self.own_text = text
        places = {keys: f"{path}:{line}" for keys, line in _lines(text).items()}
        self._tree = _merged(fixed, self._own)
        for keys, place in places.items():
            if not _says(fixed, keys):
                self._places.setdefault(keys, place)

    def is_own(self, keys: Sequence[str]) -> bool:
        """Whether the file below says it, be it in force or not."""
        return _says(self._own, keys)

    def is_fixed(self, keys: Sequence[str]) -> bool:
        """Whether the file or the environment says it, or something in it."""
        return _says(self._fixed, keys)

    def place(self, keys: Sequence[str]) -> str:
        """The file and line, or the variable, that said it; empty if nobody did."""
        return self._place(tuple(keys))

    def build(self, cls: type[_T]) -> _T:
        """All of it, as the dataclass.

        Raises:
            ConfigError: A key is unknown or missing, or a value does not fit.
        """
        return typing.cast(_T, self._table(cls, self._tree, ()))

    def forget(self, keys: Sequence[str]) -> bool:
        """Go on as if nobody had said it, to find what else is wrong; whether anybody had.

        Of what is not there, the table goes in which it is missed; instead of a table of an array,
        the array, for its tables are known by their numbers.
        """
        whole: Any = copy.deepcopy(self._tree)
        node, path = whole, list[tuple[Any, Any]]()
        for key in keys:
            is_array = isinstance(node, list)
            if is_array and not (_is_index(key) and int(key) < len(node)):
                break
            if not is_array and not (isinstance(node, dict) and key in node):
                break
            path.append((node, int(key) if is_array else key))
            node = node[path[-1][1]]
        while path and isinstance(path[-1][0], list):
            path.pop()
        if not path:
            return False
        within, last = path[-1]
        del within[last]
        self._tree = whole
        return True

    def stand_in(self, keys: Sequence[str], value: Any) -> bool:
        """Go on as if something else had been said there; whether there is a table for it."""
        whole: Any = copy.deepcopy(self._tree)
        node: Any = whole
        for key in keys[:-1]:
            if isinstance(node, list) and _is_index(key) and int(key) < len(node):
                node = node[int(key)]
            elif isinstance(node, dict) and key in node:
                node = node[key]
            else:
                return False
        last = keys[-1]
        if isinstance(node, list) and _is_index(last) and int(last) < len(node):
            node[int(last)] = value
        elif isinstance(node, dict):
            node[last] = value
        else:
            return False
        self._tree = whole
        return True

    def error(self, keys: Sequence[str], what: str, hint: str = "") -> ConfigError:
        """An error that names the key, and the variable or the line that said it."""
        where = self._place(tuple(keys)) or self._file
        message = f"{'.'.join(keys) or 'the file'} {what}"
        error = ConfigError(f"{where}: {message}" if where else message, hint=hint)
        error.key, error.what = ".".join(keys), what
        return error

    def _place(self, keys: _Keys) -> str:
        """Where the key was said, or else the nearest table around it; empty if nowhere."""
        for known in (keys[:length] for length in range(len(keys), 0, -1)):
            if variable := self._variables.get(known):
                return variable.name
            if place := self._places.get(known):
                return place
            for below, variable in self._variables.items():
                if below[: len(known)] == known:
                    return variable.name
        return ""

    def _overlay(self, variable: _Variable) -> None:
        keys = tuple(variable.name.removeprefix(_PREFIX).lower().split("__"))
        self._variables[keys] = variable
        node: Any = self._tree
        for depth, (key, following) in enumerate(itertools.pairwise((*keys, ""))):
            last = depth == len(keys) - 1
            new: Any = _value_of(variable.text) if last else [] if _is_index(following) else {}
            if isinstance(node, list) and _is_index(key) and int(key) <= len(node):
                if int(key) == len(node):
                    node.append(new)
                elif last:
                    node[int(key)] = new
                node = node[int(key)]
            elif isinstance(node, dict):
                if last:
                    node[key] = new
                node = node.setdefault(key, new)
            else:
                raise self.error(keys, "is not a known key", _hint_for(node))

    def _table(self, cls: type[Any], tree: object, keys: _Keys) -> object:
        if not isinstance(tree, dict):
            raise self.error(keys, "must be a table")
        hints = typing.get_type_hints(cls)
        for key in tree:
            if key not in hints:
                known = ", ".join(sorted(hints))
                raise self.error((*keys, key), "is not a known key", f"known here: {known}")
        values = {key: self._value(hints[key], value, (*keys, key)) for key, value in tree.items()}
        for item in dataclasses.fields(cls):
            required = item.default is item.default_factory is dataclasses.MISSING
            if required and item.name not in values:
                raise self.error((*keys, item.name), "is missing")
        return cls(**values)

    def _value(self, kind: Any, value: Any, keys: _Keys) -> Any:
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if dataclasses.is_dataclass(kind):
            return self._table(typing.cast(type[Any], kind), value, keys)
        if origin is tuple:
            if not isinstance(value, list):
                hint = _hint_for_array(arguments[0], value, keys, keys in self._variables)
                raise self.error(keys, "must be an array", hint)
            return tuple(
                self._value(arguments[0], item, (*keys, str(index)))
                for index, item in enumerate(value)
            )
        if origin is Mapping:
            return self._mapping(arguments[1], value, keys)
        if origin is Literal:
            if value not in arguments:
                raise self.error(keys, f"must be one of {', '.join(map(repr, arguments))}")
            return value
        if kind in (str, Path) and not isinstance(value, str) and keys in self._variables:
            value = self._variables[keys].text  # a password may look like a number
        if kind is Path and isinstance(value, str):
            path = Path(value)
            if path != Path() and not path.is_absolute():
                raise self.error(keys, f"= {value} must be an absolute path")
            return path
        if kind is float and type(value) is int:
            value = float(max(-_MOST, min(value, _MOST)))
        if type(value) is not kind:
            raise self.error(keys, f"must be {_SHOULD_BE.get(kind, 'text')}")
        if kind in (int, float) and not 0 <= value < _MOST:  # "nan" isn't, either
            wrong = "is too large" if value > 0 else "is no number"
            raise self.error(keys, "must not be negative" if value < 0 else wrong)
        return value

    def _mapping(self, kind: Any, value: object, keys: _Keys) -> Mapping[str, Any]:
        """A table whose keys are anybody's."""
        if not isinstance(value, dict):
            raise self.error(keys, "must be a table")
        return {key: self._value(kind, one, (*keys, key)) for key, one in value.items()}


def _read(path: Path) -> str:
    hint = "name the file with --config or EDGE_CONFIG"
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}", hint=hint) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not text in UTF-8", hint=hint) from error


def _parsed(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    # A number may be too long for this Python, and arrays too deep.
    except (ValueError, RecursionError) as error:
        line = re.search(r"at line (\d+)", str(error))
        where = f"{file}:{line[1]}" if line else file
        raise ConfigError(f"{where}: not valid TOML: {error}") from error


def _merged(upper: dict[str, Any], lower: dict[str, Any]) -> dict[str, Any]:
    """Both; where both say something that is no table, the upper one."""
    made = lower | upper
    for key in upper.keys() & lower.keys():
        if isinstance(upper[key], dict) and isinstance(lower[key], dict):
            made[key] = _merged(upper[key], lower[key])
    return made


def _says(tree: object, keys: Sequence[str]) -> bool:
    """Whether anything stands there, or in a table or an array there."""
    for key in keys:
        if isinstance(tree, list):
            return True
        if not isinstance(tree, dict) or key not in tree:
            return False
        tree = tree[key]
    return tree != {}


def _value_of(text: str) -> Any:
    """What a variable means: a value as TOML writes it, or else plain text."""
    try:
        tree = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return tree["value"] if len(tree) == 1 else text


def _is_index(key: str) -> bool:
    """Whether it counts the tables of an array: no more than anybody has."""
    return _INDEX.fullmatch(key) is not None


def _hint_for(node: object) -> str:
    if isinstance(node, list):
        return f"here goes a number from 0 to {len(node)}"
    return "a variable is EDGE_SECTION__KEY"


def _hint_for_array(kind: Any, value: Any, keys: _Keys, is_variable: bool) -> str:
    """How it is written."""
    if dataclasses.is_dataclass(kind):
        variable = f"{_PREFIX}{'__'.join(keys).upper()}__0__KEY"
        return f"a variable is {variable}" if is_variable else f"write [[{'.'.join(keys)}]]"
    if isinstance(value, str) and '"' not in value:
        written = f'["{value}"]'
        return f"write {written}" if is_variable else f"write {keys[-1]} = {written}"
    return ""


def _lines(text: str) -> dict[_Keys, int]:
    """The line of every key and table, an array's index among its keys: ``a.0.b``."""
    lines: dict[_Keys, int] = {}
    sizes: dict[_Keys, int] = {}
    table: _Keys = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = ()
            for name in _split(header[2]):
                table = (*table, name)
                if table in sizes:
                    table = (*table, str(sizes[table] - 1))
            if header[1] == "[[":
                array = table[:-1] if table[-1].isdecimal() else table
                sizes[array] = sizes.get(array, 0) + 1
                table = (*array, str(sizes[array] - 1))
            lines.setdefault(table, number)
        elif key := _KEY.match(line):
            keys = (*table, *_split(key[1]))
            lines.setdefault(keys, number)
            for inline in _INLINE_KEY.finditer(line, key.end()):
                lines.setdefault((*keys, inline[1]), number)
    return lines


def _split(dotted: str) -> _Keys:
    return tuple(part.strip(" \"'") for part in dotted.split("."))
