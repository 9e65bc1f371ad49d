#@ ImagePlus imp
#@ String (label = "Command of cellmm", value = "cellmm") command
#@ String (label = "Model", value = "nuclei") model
#@ Double (label = "Diameter of cells in pixels, 0: the model finds it", value = 0) diameter
#@ Double (label = "Least score", value = 0.3) score

// Finds the cells of the open image with cellmm and adds them to the ROI manager; cells that overlap stay whole.
// "Command of cellmm" is the program, such as /home/me/cellmm/.venv/bin/cellmm.

import ij.io.FileSaver
import ij.plugin.frame.RoiManager

import java.nio.file.Files

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

File folder = Files.createTempDirectory("cellmm").toFile()
try {
    File image = new File(folder, "image.tif")
    if (!new FileSaver(imp.duplicate()).saveAsTiff(image.path)) {
        throw new RuntimeException("${image}: the image cannot be written; free disk")
    }
    List<String> words = [command, "predict", image.path, "--model", model, "--score-thr", "${score}" as String,
                          "--save", "rois", "--out", new File(folder, "results").path]
    if (diameter > 0) {
        words += ["--diameter", "${diameter}" as String]
    }
    println run(words)
    RoiManager manager = RoiManager.getRoiManager()
    List<File> zips = []
    new File(folder, "results/rois").eachFileMatch(~/.*\.zip/) { zips << it }
    zips.sort().each { manager.runCommand("Open", it.path) }
    println "${manager.count} ROIs"
} finally {
    folder.deleteDir()
}
