// Finds the cells of the open image with cellmm and adds them as detections, with their measurements.
// Cells that overlap stay whole. Run it in QuPath: Automate > Script editor.

import java.nio.file.Files
import java.nio.file.Paths

import qupath.lib.io.PathIO

import static qupath.lib.gui.scripting.QPEx.*

String command = args.size() > 0 ? args[0] : "cellmm"  // such as /home/me/cellmm/.venv/bin/cellmm
String model = args.size() > 1 ? args[1] : "nuclei"

String run(List<String> words) {
    Process process
    try {
        process = new ProcessBuilder(words).redirectErrorStream(true).start()
    } catch (IOException error) {
        throw new RuntimeException("${words[0]} cannot be started: give the full path of cellmm (${error.message})")
    }
    process.outputStream.close()
    String output = process.inputStream.text.trim()
    if (process.waitFor() != 0) {
        throw new RuntimeException((output.readLines() ?: ["it ended without a word"]).last())
    }
    return output
}

List uris = getCurrentServer().getURIs() as List
if (uris.size() != 1 || uris[0].scheme != "file") {
    throw new RuntimeException("the image is not a single file on this computer: export it as OME-TIFF first")
}
File folder = Files.createTempDirectory("cellmm").toFile()
try {
    println run([command, "predict", Paths.get(uris[0]).toString(), "--model", model, "--save", "geojson",
                 "--out", new File(folder, "results").path])
    List<File> files = []
    new File(folder, "results/geojson").eachFileMatch(~/.*\.geojson/) { files << it }
    if (files.size() != 1) {
        throw new RuntimeException("${files.size()} images in this file: export the open one as OME-TIFF first")
    }
    List objects = PathIO.readObjects(files[0].toPath())
    addObjects(objects)
    println "${objects.size()} cells"
} finally {
    folder.deleteDir()
}
