"""The configuration is read here, once, and what may not stand together is refused.

Promises that who has a ``Config`` from ``load`` need not check it again: unknown keys, values that
do not fit and what is unsafe outside a laboratory are refused here, before anything listens, with
the file and line, or the variable of the environment, that said so. How files and variables are
read stands in ``settings``.

Below the file of whoever administers the machine lies ``settings.toml`` in ``data_dir``, which the
box itself writes (`edge.changing`): it says what was set on the page, or by ``edge config set``.
What the file and the environment say wins, always: that can't be changed from afar.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from edge.checking import check
from edge.config import Config
from edge.errors import ConfigError
from edge.settings import Settings

__all__ = ["OWN", "data_dir", "layered", "load"]

OWN = "settings.toml"
"""In ``data_dir``: what the box was told by its page, or by ``edge config set``."""
_MOST_OWN = 1024 * 1024
_NEVER_OWN = {
    ("appliance", "data_dir"): "the box's own settings stand in there",
    ("keys",): "what opens the box is not said in it; see edge key change",
    ("update", "keys"): "whose updates are believed says the file of the machine",
}


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the configuration.

    Later sources win: the defaults above, the box's own file, the file, ``EDGE_SECTION__KEY`` in
    the environment.

    Args:
        path: The TOML file; None means the defaults and the environment alone.
        environ: Where the variables are looked up.

    Raises:
        ConfigError: The file can't be read, a key is unknown, a value does not fit, or the whole
            is unsafe outside a laboratory.
    """
    return layered(path, environ)[1]


def layered(
    path: Path | None, environ: Mapping[str, str] = os.environ, *, own: str | None = None
) -> tuple[Settings, Config]:
    """The configuration, and what knows where each key of it was said.

    Args:
        path: As of ``load``.
        environ: As of ``load``.
        own: What the box's own file would say, to try that; None means what it says.

    Raises:
        ConfigError: As ``load`` does.
    """
    settings = Settings(path, environ)
    folder = settings.build(Config).appliance.data_dir
    file = folder / OWN
    text = _own(file) if own is None and folder != Path() else own
    if text:
        settings.under(file, text)
        for keys, why in _NEVER_OWN.items():
            if settings.is_own(keys):
                raise settings.error(keys, f"can't be said here: {why}", "remove it")
    config = settings.build(Config)
    check(config, settings)
    return settings, config


def data_dir(path: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the box is, whatever its own file says: of one that does not load.

    Raises:
        ConfigError: The file of the machine, or the environment, can't be used, either.
    """
    return Settings(path, environ).build(Config).appliance.data_dir


def _own(file: Path) -> str:
    """What the box's own file says; nothing if there is none."""
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_OWN + 1)
        if len(content) > _MOST_OWN:
            raise ConfigError(f"{file}: is too long for settings")
        return content.decode()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise ConfigError(
            f"{file}: can't be read: {error.strerror}", hint="run it as the user of the service"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not text in UTF-8") from error
    except ValueError:
        return ""  # no folder has such a name; who needs it says so
