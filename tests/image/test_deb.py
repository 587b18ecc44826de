"""The files of the Debian package, as they are written: what can be said without building it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import edge
from edge.loading import load
from tests.image.test_tree import read

ROOT = Path(edge.__file__).parent.parent
DEBIAN = ROOT / "image/debian"
CONTAINERFILE = (ROOT / "image/Containerfile").read_text()


def test_nothing_that_is_removed_holds_data_or_a_key():
    for name in ("prerm", "postrm"):
        text = (DEBIAN / name).read_text()
        for words in re.findall(r"^\s*rm -r.*$", text, re.MULTILINE):
            assert words.split()[2:] == ["/var/lib/edge-machine"], words
        assert "deluser" not in text
        assert "userdel" not in text


def test_its_settings_are_a_conffile_and_every_example_in_it_is_true(tmp_path):
    assert (DEBIAN / "conffiles").read_text() == "/etc/edge/edge.toml\n"
    text = (DEBIAN / "edge.toml").read_text()
    assert tomllib.loads(text) == {}, "what stands there can't be set on the page"
    examples = re.sub(r"^#(?=[\[\w])", "", text, flags=re.MULTILINE)
    found = tomllib.loads(examples)
    assert found.keys() == {"appliance", "dimse", "cloud"}
    (tmp_path / "edge.toml").write_text(examples)
    loaded = load(tmp_path / "edge.toml", {"EDGE_APPLIANCE__DATA_DIR": str(tmp_path)})
    assert loaded.dimse.peer[0].ae_title == "CT1"


def test_what_is_enabled_is_enabled_by_its_owner():
    assert (DEBIAN / "edge.preset").read_text().splitlines()[1:] == [
        "disable edge.service",
        "disable edge-*",
    ]
    assert "enable" not in re.sub(
        'systemctl enable --now edge"', "", (DEBIAN / "postinst").read_text()
    )


def test_the_wheel_brings_the_units_along():
    said = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
    assert said["share/edge/units"][0] == "image/units/*"
    used = re.findall(
        r"=/usr/lib/edge/([a-z-]+)",
        "".join(path.read_text() for path in (ROOT / "image/units").iterdir()),
    )
    assert {f"image/libexec/{name}" for name in used} <= {*said["share/edge/units"]}


def test_the_container_has_the_same_user_as_the_image():
    line = (ROOT / "image/mkosi.extra/usr/lib/sysusers.d/edge.conf").read_text().splitlines()[-1]
    number = line.split()[2]
    assert f"--gid {number} edge" in CONTAINERFILE
    assert f"--uid {number} --gid {number}" in CONTAINERFILE
    assert "USER edge" in CONTAINERFILE
    assert "HEALTHCHECK" in CONTAINERFILE
    assert "VOLUME /var/lib/edge" in CONTAINERFILE


def test_units_of_the_package_ask_for_nothing_that_it_lacks():
    """Instances of a template are of whoever starts that."""
    made = {path.name for path in (ROOT / "image/units").glob("*.[sptm]*")}
    script = (ROOT / "scripts/build-deb").read_text()
    assert "edge-update-look.*) ;;" in script
    shipped = {name for name in made if not name.startswith("edge-update-") or "look" in name}
    for name in shipped:
        if not name.endswith((".service", ".path", ".timer")):
            continue
        unit = read(ROOT / "image/units" / name)
        needed = unit["Unit"].get("Requires", "") + " " + unit["Unit"].get("BindsTo", "")
        for other in needed.split():
            if other.startswith("edge") and "%" not in other:
                assert other in shipped, f"{name} needs {other}"
