"""The scripts of Fiji, QuPath and TrackMate.

Everywhere: their options are options of cellmm. With Groovy and ImageJ 1 they run (apt-get install groovy
imagej): Fiji's with the true ImageJ, QuPath's and TrackMate's with stand-ins for the calls of these programs.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cellmm.commands import cli
from cellmm.simulation.scene import SCENES, simulate_scene

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "integrations").rglob("*.groovy"))
IMAGEJ = Path("/usr/share/java/ij.jar")
STAND_INS = {
    "qupath/lib/gui/scripting/QPEx.groovy": """
package qupath.lib.gui.scripting
class QPEx {
    static getCurrentServer() { [getURIs: { [new File(System.getProperty('image')).toURI()] }] as Server }
    static void addObjects(List objects) { println "added ${objects.size()}" }
}
interface Server { Collection<URI> getURIs() }
""",
    "qupath/lib/io/PathIO.groovy": """
package qupath.lib.io
class PathIO {
    static List readObjects(java.nio.file.Path path) {
        new groovy.json.JsonSlurper().parse(path.toFile()).features
    }
}
""",
    "fiji/plugin/trackmate/LoadTrackMatePlugin.groovy": """
package fiji.plugin.trackmate
class LoadTrackMatePlugin { void run(String path) { println "opened ${path}" } }
""",
}
needs_groovy = pytest.mark.skipif(
    not (shutil.which("groovy") and shutil.which("xvfb-run") and IMAGEJ.exists()),
    reason="needs Groovy, ImageJ and xvfb: apt-get install groovy imagej xvfb",
)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.parent.name)
def test_their_options_are_options_of_cellmm(path, capsys):
    calls = re.findall(r'\[command, "(\w+)", (.*?)\]', path.read_text(), re.DOTALL)
    assert calls
    for name, words in calls:
        assert cli_help(name, capsys).issuperset(re.findall(r'"(--[a-z-]+)"', words))
        assert set(re.findall(r'"--save", "(\w+)"', words)) < {"rois", "geojson", "coco", "trackmate"}


def cli_help(name, capsys):
    """The options that the help of a command names."""
    with pytest.raises(SystemExit):
        cli.main([name, "--help"])
    return set(re.findall(r"--[a-z-]+", capsys.readouterr().out))


@pytest.fixture
def groovy(tmp_path):
    """``groovy(script, bindings)`` runs a script whose SciJava parameters are ``bindings``; its output."""
    for name, text in STAND_INS.items():
        target = tmp_path / "host" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    program = tmp_path / "my cellmm"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cellmm.commands.cli "$@"\n')
    program.chmod(0o755)
    environment = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1", CUDA_VISIBLE_DEVICES="")
    java = shutil.which("java")
    if java:
        environment["JAVA_HOME"] = str(Path(java).resolve().parents[1])

    def run(name, bindings="", *argv, options="", status=0):
        lines = (ROOT / "integrations" / name).read_text().splitlines()
        script = tmp_path / "script.groovy"
        body = "\n".join(line for line in lines if not line.startswith("#@"))
        script.write_text(f"{bindings}\n{body}\nSystem.exit(0)\n")
        command = ["xvfb-run", "-a", "groovy", "-cp", f"{IMAGEJ}:{tmp_path / 'host'}", str(script), *argv]
        done = subprocess.run(
            command, env=environment | dict(JAVA_OPTS=options), capture_output=True, text=True, timeout=300
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    run.program = program
    return run


@pytest.fixture
def scene():
    crowded = replace(SCENES["small"], cells=(14, 16), neighbour_share=0.6)
    return simulate_scene(crowded, np.random.default_rng([14, 5])).brightfield


def bindings(program, image, model="cells-simulated", more=""):
    return (
        f'imp = ij.IJ.openImage("{image}"); command = "{program}"; model = "{model}"; diameter = 0d; '
        f"score = 0.3d; {more}"
    )


@needs_groovy
def test_fiji_gets_rois(groovy, scene, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", scene, imagej=True, metadata={"axes": "CYX"})
    output = groovy("fiji/find_cells.groovy", bindings(groovy.program, tmp_path / "a.tif"))
    found = int(re.search(r"(\d+) cells with a score", output)[1])
    assert found > 10 and f"{found} ROIs" in output
    output = groovy(
        "fiji/find_cells.groovy", bindings(groovy.program, tmp_path / "a.tif", "nuclie"), status=1
    )
    assert "did you mean nuclei?" in output
    output = groovy("fiji/find_cells.groovy", bindings("absent", tmp_path / "a.tif"), status=1)
    assert "give the full path of cellmm" in output


@needs_groovy
def test_qupath_gets_objects(groovy, scene, tmp_path):
    tifffile.imwrite(tmp_path / "my image.tif", scene, metadata={"axes": "CYX"})
    options = f"-Dimage={tmp_path.as_posix()}/image.tif"
    (tmp_path / "my image.tif").rename(tmp_path / "image.tif")
    words = (str(groovy.program), "cells-simulated")
    output = groovy("qupath/find_cells.groovy", "", *words, options=options)
    found = int(re.search(r"(\d+) cells with a score", output)[1])
    assert found > 10 and f"added {found}" in output


@needs_groovy
def test_trackmate_gets_tracks_of_a_film(groovy, scene, tmp_path):
    film = np.stack([np.roll(scene, 2 * time, axis=2) for time in range(3)])
    tifffile.imwrite(tmp_path / "f.tif", film, imagej=True, metadata={"axes": "TCYX"})
    target = tmp_path / "of film"
    target.mkdir()
    words = bindings(groovy.program, tmp_path / "f.tif", more=f'folder = new File("{target}")')
    output = groovy("trackmate/find_tracks.groovy", words)
    path = Path(re.search(r"opened (.*)", output)[1])
    text = path.read_text()
    assert f'filename="film.tif" folder="{target}"' in text
    assert (target / "film.tif").exists() and text.count("<Spot ") > 30 and text.count("<Edge ") > 20
    assert "choose an empty folder" in groovy("trackmate/find_tracks.groovy", words, status=1)
