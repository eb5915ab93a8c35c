// Running programs: their output goes to the pusher, a failure ends the build with words of ours.

const { spawnSync } = require("node:child_process");

function fail(message, hint = "") {
  console.log(`Error: ${message}`);
  if (hint) console.log(hint[0].toUpperCase() + hint.slice(1));
  process.exit(1);
}

function programs(...directories) {
  process.env.PATH = [...directories, process.env.PATH].join(":");
}

function run([program, ...words], { what, cwd, env = {}, hint = "" }) {
  const { status, error } = spawnSync(program, words, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", 1, 1] });
  if (error || status !== 0) fail(`could not ${what} (its words are above)`, hint);
}

function output([program, ...words], { what }) {
  const { status, stdout } = spawnSync(program, words, { stdio: ["ignore", "pipe", 1], maxBuffer: 2 ** 26 });
  if (status !== 0) fail(`could not ${what}`);
  return stdout.toString();
}

module.exports = { fail, programs, run, output };
