#@ ImagePlus imp
#@ String (label = "Command of cellmm", value = "cellmm") command
#@ String (label = "Model", value = "nuclei") model
#@ Double (label = "Diameter of cells in pixels, 0: the model finds it", value = 0) diameter
#@ File (label = "Folder for the film and its tracks", style = "directory") folder

// Finds the cells of every frame of the open film with cellmm, follows them, and opens spots and tracks in TrackMate.
// "Command of cellmm" is the program, such as /home/me/cellmm/.venv/bin/cellmm.

import ij.io.FileSaver

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

if (imp.NFrames < 2) {
    throw new RuntimeException("${imp.title} has one frame: set its frames in Image > Properties")
}
File film = new File(folder, "film.tif"), results = new File(folder, "results"), tracks = new File(folder, "tracks")
for (File there : [film, results, tracks]) {
    if (there.exists()) {
        throw new RuntimeException("${there} exists: choose an empty folder")
    }
}
if (!new FileSaver(imp.duplicate()).saveAsTiff(film.path)) {
    throw new RuntimeException("${film}: the film cannot be written; free disk or choose another folder")
}
List<String> words = [command, "predict", film.path, "--model", model, "--save", "coco",
                      "--out", results.path]
if (diameter > 0) {
    words += ["--diameter", "${diameter}" as String]
}
println run(words)
println run([command, "track", results.path, "--save", "trackmate", "--out", tracks.path])
File xml = null
tracks.eachFileRecurse { if (it.name == "trackmate.xml") { xml = it } }
String place = groovy.xml.XmlUtil.escapeXml(folder.path)
xml.setText(xml.getText("UTF-8").replaceFirst(/filename="[^"]*" folder=""/,
        java.util.regex.Matcher.quoteReplacement("filename=\"film.tif\" folder=\"${place}\"")), "UTF-8")
println xml
// by its name, since TrackMate is a plugin
Class.forName("fiji.plugin.trackmate.LoadTrackMatePlugin").getDeclaredConstructor().newInstance().run(xml.path)
