// `npm run simulate -- --seed 7`: one seed of the simulated bank with its trace. `--count 500`: as many seeds from there on, without; default seed: that of the day.
import { parseArgs } from 'node:util';
import { ensureInstalled } from './ensure-installed.mjs';
import { bin, runNode } from './run.mjs';

ensureInstalled();
const { values } = parseArgs({ options: { seed: { type: 'string' }, count: { type: 'string' } } });
const env = { ...process.env };
for (const [name, value] of Object.entries(values)) {
  if (!/^\d{1,9}$/.test(value)) {
    console.error(`--${name} is ${value}; use a whole number`);
    process.exit(1);
  }
  env[`HOLDFAST_SIMULATION_${name.toUpperCase()}`] = value;
}
process.exit(runNode([bin.jest, '--selectProjects', 'unit', '--runInBand', 'testing/simulation/simulation'], { env }) ? 0 : 1);
