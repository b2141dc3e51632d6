// Stands in for the part of Cloudflare's runtime that boots Python: its own cannot be had offline.  Everything else is
// real: workerd, its Durable Objects, and the workers-runtime-sdk package from PyPI.
//
// Pyodide compiles wasm while it runs, which workerd allows with --experimental and an `unsafeEval` binding only: tests.
import * as workersModule from "cloudflare:workers";
import * as socketsModule from "cloudflare:sockets";
import createPyodideModule from "./pyodide.asm.mjs";
import pythonWasm from "./pyodide.asm.wasm";
import standardLibrary from "./python_stdlib.zip";
import lockFile from "./pyodide-lock.json";
import { wheels, sources, main, methods } from "./generated.js";

const { DurableObject, WorkerEntrypoint } = workersModule;
const NOWHERE = "https://offline.invalid/";
let booting = null;

function allowCompiling(unsafe) {
  const Module = WebAssembly.Module;
  const instantiate = WebAssembly.instantiate.bind(WebAssembly);
  const compile = (source) =>
    unsafe.newWasmModule(
      ArrayBuffer.isView(source)
        ? source.buffer.slice(source.byteOffset, source.byteOffset + source.byteLength)
        : source,
    );
  const Compiled = function (source) { return compile(source); };
  Object.setPrototypeOf(Compiled, Module);
  Compiled.prototype = Module.prototype;
  WebAssembly.Module = Compiled;
  WebAssembly.instantiate = async (source, imports) => {
    if (source instanceof Module) return instantiate(source, imports);
    const module = compile(source);
    return { module, instance: await instantiate(module, imports) };
  };
  return instantiate;
}

async function boot(env) {
  const instantiate = allowCompiling(env.UNSAFE);
  globalThis.addEventListener = () => {};
  const failure = Symbol("a JavaScript error");
  const places = { IN_BROWSER: true, IN_WORKERD: true };
  for (const other of ["NODE", "BUN", "DENO", "SAFARI", "SHELL", "BROWSER_MAIN_THREAD", "BROWSER_WEB_WORKER", "NODE_COMMONJS", "NODE_ESM"])
    places["IN_" + other] = false;
  const API = {
    config: {
      jsglobals: globalThis, args: [], env: { HOME: "/home/pyodide" }, packages: [], indexURL: "/",
      packageBaseUrl: NOWHERE, cdnUrl: NOWHERE, enableRunUntilComplete: true, checkAPIVersion: true, lockFileContents: lockFile,
    },
    runtimeEnv: places,
    lockFilePromise: Promise.resolve(JSON.parse(lockFile)),
  };
  await createPyodideModule({
    API, arguments: [], noImageDecoding: true, noAudioDecoding: true, noWasmDecoding: false,
    print: (text) => console.log(text), printErr: (text) => console.error(text), locateFile: (name) => "/" + name,
    preRun: [(python) => {
      const version = python.HEAPU32[python._Py_Version >>> 2];
      const [major, minor, micro] = [version >>> 24, (version >>> 16) & 255, (version >>> 8) & 255];
      API.pyVersionTuple = [major, minor, micro];
      API.sitePackages = `/lib/python${major}.${minor}/site-packages`;
      for (const folder of [API.sitePackages, `/lib/python${major}.${minor}/lib-dynload`, "/home/pyodide"])
        python.FS.mkdirTree(folder);
      python.FS.writeFile(`/lib/python${major}${minor}.zip`, new Uint8Array(standardLibrary));
      python.FS.chdir("/home/pyodide");
      Object.assign(python.ENV, API.config.env);
    }],
    instantiateWasm(info, done) {
      info.env.Jsv_GetError_import = () => failure;
      info.env.JsvError_Check = (value) => value === failure;
      instantiate(pythonWasm, info).then(
        (instance) => done(instance, pythonWasm),
        (error) => console.error("Python did not start", error),
      );
      return {};
    },
  });
  const python = API.finalizeBootstrap(undefined, undefined);
  API.sys.path.insert(0, "");
  await API.packageIndexReady;
  API.initializeStreams(undefined, undefined, undefined);
  for (const wheel of wheels)
    await python.unpackArchive(new Uint8Array(wheel), "wheel", { extractDir: API.sitePackages });
  python.registerJsModule("_pyodide_entrypoint_helper", {
    cloudflareWorkersModule: workersModule, cloudflareSocketsModule: socketsModule,
    doAnImport: (name) => import(name), patchWaitUntil: () => {},
  });
  python.registerJsModule("_cloudflare_compat_flags", {
    python_workflows_implicit_dependencies: true, python_request_headers_preserve_commas: true,
  });
  for (const [name, text] of sources) {
    const path = "/home/pyodide/" + name;
    python.FS.mkdirTree(path.slice(0, path.lastIndexOf("/")));
    python.FS.writeFile(path, text);
  }
  return { app: python.pyimport(main), sdk: python.pyimport("workers") };
}

const start = (env) => (booting ??= boot(env));

export class DurablePrimitivesEngine extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    ctx.blockConcurrencyWhile(async () => {
      this.runtime = await start(env);
      this.object = this.runtime.app.DurablePrimitivesEngine(ctx, env);
    });
  }
  async alarm(info) { return await this.object.alarm(info); }
}
for (const name of methods)
  DurablePrimitivesEngine.prototype[name] = async function (...given) {
    const { python_from_rpc, python_to_rpc } = this.runtime.sdk;
    return python_to_rpc(await this.object[name](...given.map((argument) => python_from_rpc(argument))));
  };

export default class extends WorkerEntrypoint {
  async fetch(request) {
    try {
      const { app, sdk } = await start(this.env);
      return (await app.Default(this.ctx, this.env).fetch(sdk.Request(request))).js_object;
    } catch (error) {
      return new Response(String(error.stack ?? error), { status: 500 });
    }
  }
}
