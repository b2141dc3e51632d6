// Runs Python in Pyodide, without the network.
// usage: node run.mjs NODE_MODULES SCRIPT FOLDER-OF-WHEELS FOLDER... (each FOLDER is seen under its own path)
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [modules, script, wheels, ...folders] = process.argv.slice(2).map((one) => path.resolve(one));
const { loadPyodide } = await import(pathToFileURL(path.join(modules, "pyodide", "pyodide.mjs")).href);
const python = await loadPyodide();
const site = python.runPython("import site; site.getsitepackages()[0]");
for (const name of fs.readdirSync(wheels).filter((name) => name.endsWith(".whl")))
  python.unpackArchive(Uint8Array.from(fs.readFileSync(path.join(wheels, name))), "wheel", { extractDir: site });
for (const folder of folders) {
  python.FS.mkdirTree(folder);
  python.mountNodeFS(folder, folder);
}
try {
  process.exit(python.runPython(fs.readFileSync(script, "utf8")));
} catch (error) {
  console.error(String(error.message).slice(-4000)); // its stack would print all of Pyodide's code
  process.exit(70);
}
