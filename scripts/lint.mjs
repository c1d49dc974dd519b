import { ensureInstalled } from './ensure-installed.mjs';
import { bin, runNode } from './run.mjs';

ensureInstalled();
process.exit(runNode([bin.biome, 'check', '--error-on-warnings', ...process.argv.slice(2), '.']) ? 0 : 1);
