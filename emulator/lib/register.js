// SPDX-License-Identifier: Apache-2.0
// The running emulators, as files: who looks for boards finds them there.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** The folder of what runs, as in discovery.py: MOAT_RUN, or one of the user's session. */
export function runFolder(env = process.env) {
  if (env.MOAT_RUN) {
    return env.MOAT_RUN;
  }
  const base = env.XDG_RUNTIME_DIR;
  return base ? path.join(base, 'moat-micro') : path.join(os.tmpdir(), `moat-micro-${process.getuid?.() ?? 'user'}`);
}

/** Write `info` as the file of this process; returns a function that removes it. */
export function register(info, env = process.env) {
  const folder = path.join(runFolder(env), 'emulators');
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = path.join(folder, `${info.pid}.json`);
  const part = `${file}.part`; // nobody reads half of it
  fs.writeFileSync(part, `${JSON.stringify(info)}\n`, { mode: 0o600 });
  fs.renameSync(part, file);
  return () => fs.rmSync(file, { force: true });
}
