"""The documents are true: against configuration, command line, roles, scripts and locks."""

import argparse
import dataclasses
import re
import tomllib
import typing
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import Marker

from edge import __main__, config, loading
from edge.access.roles import Act, Role
from edge.pages.acceptance import CHECKS
from tests.browser import gallery
from tests.documents import MANUAL, README, ROOT, TEXT, headings, rows

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = ("requirements.lock", "requirements-dev.lock")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def keys(cls, prefix=""):
    """Every key below a dataclass of the configuration, with its default as TOML."""
    hints = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):
        kind, name = hints[item.name], prefix + item.name
        if dataclasses.is_dataclass(kind):
            yield from keys(kind, f"{name}.")
            continue
        made = item.default_factory
        yield name, toml(item.default if made is dataclasses.MISSING else made())
        (inner, *_) = typing.get_args(kind) or (None,)
        if dataclasses.is_dataclass(inner):
            yield from keys(inner, f"{name}[].")


def toml(value):
    match value:
        case dataclasses.MISSING:
            return "required"
        case Path():
            text = "" if value == Path() else str(value)
            return f'`"{text}"`'
        case str():
            return f'`"{value}"`'
        case bool():
            return f"`{str(value).lower()}`"
        case tuple():
            inner = ", ".join(toml(item).strip("`") for item in value)
            return f"`[{inner}]`"
        case _:
            return f"`{value}`"


def locked(name):
    """The packages of a lock file that this Python gets, with their versions."""
    text = (ROOT / name).read_text()
    found = re.findall(r"^([a-z0-9-]+)==(\S+)(?: ; ([^\\\n]+))?", text, re.MULTILINE)
    return {
        package: version
        for package, version, marker in found
        if not marker or Marker(marker).evaluate()
    }


def plain(requirement):
    return re.match(r"[A-Za-z0-9-]+", requirement)[0].lower()


def commands(parser=None, path=()):
    """Every command of the command line, as words."""
    parser = parser or __main__._commands().parser
    yield path
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from commands(below, (*path, name))


def test_the_configuration_table_has_every_key_with_its_default():
    table = {row[0].strip("`"): row[1] for row in rows("configuration")}
    assert table == dict(keys(config.Config))


@pytest.mark.parametrize("block", blocks("toml"))
def test_every_example_of_a_configuration_can_be_loaded(block, tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text(block)
    loading.load(path, {})


def test_the_names_of_environment_variables_are_right(tmp_path):
    variables = re.findall(r"`(EDGE_[A-Z_0-9]+__[A-Z_0-9]+)`", TEXT)
    assert len(variables) >= 2
    said = {"NAME": "a", "URL": "https://a", "AUTH__KIND": "basic", "AUTH__USER": "u"}
    archive = {f"EDGE_CLOUD__ARCHIVE__0__{key}": value for key, value in said.items()}
    loading.load(None, {**archive, **dict.fromkeys(variables, "X")})


def test_the_table_of_roles_is_the_one_in_the_code():
    table = {
        Role(re.match(r"`(\w+)`", row[0])[1]): [cell == "yes" for cell in row[1:]]
        for row in rows("viewing", "`edge token create")
    }
    acts = (Act.READ, Act.STORE, Act.DECIDE, Act.DELETE, Act.ADMINISTER)
    assert table == {role: [role.may(act) for act in acts] for role in Role}


def test_every_command_that_is_named_exists():
    known = {" ".join(path) for path in commands()}
    named = re.findall(r"(?:`|/bin/)edge ((?:[a-z]+(?:-[a-z]+)* ?)+)", TEXT)
    assert named
    for words in named:
        assert any(words.startswith(command) for command in known if command), words


def test_every_option_that_is_named_exists():
    for script, option in re.findall(r"scripts/(\w+) (--[a-z]+)", TEXT):
        text = (ROOT / "scripts" / script).read_text()
        assert option in text, f"scripts/{script} {option}"


def test_every_file_that_is_named_exists():
    for name in re.findall(r"(?<![\w./])((?:scripts|edge|tests|image/units)/[\w./@-]*\w)", TEXT):
        assert (ROOT / name).exists(), name


PAGES = {"README.md": README, **{f"manual/{name}.md": text for name, text in MANUAL.items()}}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading_of_it(page):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", PAGES[page]):
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), target
        if anchor:
            known = [
                re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
                for heading in headings(path.read_text())
            ]
            assert anchor in known, f"{target}#{anchor}"


def test_readme_is_read_in_a_sitting_and_leads_to_every_page():
    assert README.count("\n") < 250
    for page in MANUAL:
        assert f"](manual/{page}.md)" in README


def test_every_picture_that_is_kept_is_shown_and_made():
    kept = {path.stem for path in (ROOT / "manual/pictures").iterdir()}
    assert (
        kept
        == set(re.findall(r"pictures/([\w-]+)\.webp", MANUAL["gallery"]))
        == gallery.KEPT.keys()
    )


def test_every_script_is_named_and_can_be_run():
    for path in (ROOT / "scripts").iterdir():
        assert f"scripts/{path.name}" in README
        assert path.stat().st_mode & 0o111, path


def test_the_table_of_licences_has_every_package_that_runs():
    named = {re.match(r"[\w-]+", row[0])[0] for row in rows("licences")}
    assert named == set(locked("requirements.lock"))


def test_no_package_that_runs_is_under_the_gpl():
    for name in locked("requirements.lock"):
        about = metadata.metadata(name)
        said = [about.get("License-Expression") or "", *about.get_all("Classifier", [])]
        assert not any("GPL" in text or "General Public" in text for text in said), name


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_index_and_hashes_everything(name):
    text = (ROOT / name).read_text()
    assert not re.search(r"://|--index|--extra-index|--find-links|--trusted", text)
    requirements = re.split(r"\n(?=\S)", text.split("\n", 2)[2])
    assert all("--hash=sha256:" in requirement for requirement in requirements)


def test_the_locks_have_what_the_project_asks_for():
    needed = {plain(text) for text in PROJECT["project"]["dependencies"]}
    needed |= {plain(text) for text in PROJECT["dependency-groups"]["build"]}
    assert needed <= set(locked("requirements.lock"))
    needed |= {plain(text) for text in PROJECT["project"]["optional-dependencies"]["dev"]}
    assert needed <= set(locked("requirements-dev.lock"))


def test_both_locks_agree():
    development = locked("requirements-dev.lock")
    for name, version in locked("requirements.lock").items():
        assert development[name] == version


def test_what_is_installed_is_what_is_locked():
    for name, version in locked("requirements.lock").items():
        assert metadata.version(name) == version, name


def test_the_changelog_has_the_form_of_keep_a_changelog():
    text = (ROOT / "CHANGELOG.md").read_text()
    assert "\n## [Unreleased]\n" in text
    sections = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert sections <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_guide_of_the_image_has_the_lines_of_the_acceptance_protocol():
    guide = (ROOT / "image/README.md").read_text(encoding="utf-8")
    part = guide.partition("## 5. Accept it")[2].partition("\n## ")[0]
    lines = re.findall(r"^\| ([^|]+) \|", part, re.MULTILINE)
    assert tuple(lines[1:]) == CHECKS


def test_the_licence_is_whole():
    text = (ROOT / "LICENSE").read_text()
    assert text.lstrip().startswith("Apache License")
    assert "END OF TERMS AND CONDITIONS" in text
