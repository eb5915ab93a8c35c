// What bin/build has to do at every push, decided once per package.json. Pure but for looking for start files.

const fs = require("node:fs");

// Build tools, where they put the site, and whether its router runs in the browser (then every path is index.html).
const SITES = [
  ["astro", "dist", false],
  ["vitepress", "docs/.vitepress/dist .vitepress/dist", false],
  ["@docusaurus/core", "build", false],
  ["gatsby", "public", false],
  ["@11ty/eleventy", "_site", false],
  ["next", "out", false],
  ["nuxt", ".output/public dist", false],
  ["@sveltejs/kit", "build", false],
  ["react-scripts", "build", true],
  ["@vue/cli-service", "dist", true],
  ["@angular/core", "dist/*/browser dist/*", true],
  ["vite", "dist build/client", true],
  ["parcel", "dist", false],
];
const ANY_SITE = "dist build out public _site";
// Start scripts that watch files for a developer, or show a finished build: no way to serve people.
const FOR_DEVELOPERS =
  /^(npx )?(vite|vite (dev|serve|preview).*|vite --.*|react-scripts start|vue-cli-service serve.*|ng serve.*|ng s|astro( (dev|preview|start).*)?|parcel .*|webpack(-dev-server| serve).*|gatsby (develop|serve).*|docusaurus start|vitepress (dev|preview).*|eleventy --serve.*)$/;

function plan(manifest, { node, toolchain, manager }) {
  const scripts = manifest.scripts ?? {};
  const all = { ...manifest.devDependencies, ...manifest.dependencies };
  const start = startCommand(manifest, scripts);
  const origin = node.own ? "the registry" : "hostd";
  const files = {
    about: `Node ${node.version} (from ${origin}${node.asker ? `, chosen by ${node.asker}` : ""})\n`.trim(),
    build: buildScripts(scripts),
    web: start,
    "launch.toml": launch(start, node, toolchain),
    "env.launch/NODE_ENV.default": "production",
    "env/PATH.prepend": `/app/node_modules/.bin${node.own ? "" : `:${toolchain}/bin`}`,
    "env/PATH.delim": ":",
  };
  if (!start && files.build) files.static = sites(all);
  if (all.next) files.next = usesTurbopack(all.next, scripts.build ?? "") ? "turbopack" : "webpack";
  if (/\b(pnpm|yarn|bun)\b/.test(start) || manager === "bun") files["launch-tools"] = "";
  return { files };
}

function buildScripts(scripts) {
  const name = scripts["heroku-postbuild"] ? "heroku-postbuild" : "build";
  if (!scripts[name]) return "";
  const all = ["heroku-prebuild", ...(name === "build" ? ["prebuild", "build", "postbuild"] : [name])];
  return all.filter((one) => scripts[one]).map((one) => `${one}\t${scripts[one].replace(/\s*\n\s*/g, " ")}\n`).join("");
}

// The line of the start script itself: npm between it and the kernel would cost 300 ms and swallow SIGTERM.
function startCommand(manifest, scripts) {
  if (scripts.start && !FOR_DEVELOPERS.test(scripts.start.trim())) {
    const before = scripts.prestart ? `${scripts.prestart.trim()} && ` : "";
    return before + (before ? scripts.start.trim() : replacing(scripts.start.trim()));
  }
  if (scripts.start) return "";
  const main = typeof manifest.main === "string" ? [manifest.main, `${manifest.main}.js`] : [];
  const file = [...main, "server.js", "server.mjs", "index.js", "index.mjs", "app.js"].find(
    (one) => /^[A-Za-z0-9_./-]+$/.test(one) && fs.existsSync(one) && fs.statSync(one).isFile(),
  );
  return file ? `exec node ${file}` : "";
}

// A single program takes the shell's place, so that it gets the signals.
function replacing(line) {
  const simple = /^((?:[A-Za-z_][A-Za-z0-9_]*=[A-Za-z0-9_./:-]* )*)([A-Za-z0-9_./@-]+(?: [^;&|<>()`\n]*)?)$/.exec(line);
  return simple && !/^(cd|exec|export|set|source|\.)\b/.test(simple[2]) ? `${simple[1]}exec ${simple[2]}` : line;
}

// Next.js 16 made Turbopack the default of `next build`.
function usesTurbopack(version, script) {
  return !script.includes("--webpack") && (script.includes("--turbo") || !/^[~^]?(9|1[0-5])\b/.test(version));
}

function sites(all) {
  const known = SITES.filter(([name]) => all[name]).flatMap(([, where, single]) => where.split(" ").map((one) => `${one} ${single}`));
  return [...known, ...ANY_SITE.split(" ").map((one) => `${one} false`)].join("\n") + "\n";
}

function launch(start, node, toolchain) {
  const name = toolchain.split("/").pop();
  const label = node.own ? "" : `[[labels]]\nkey = "hostd.toolchains"\nvalue = "${name}"\n\n`;
  if (!start) return label;
  return `${label}[[processes]]\ntype = "web"\ncommand = ["sh", "-c", ${JSON.stringify(start)}]\ndefault = true\n`;
}

module.exports = { plan };
