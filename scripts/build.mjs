import { ensureInstalled } from './ensure-installed.mjs';
import { build } from './run.mjs';

ensureInstalled();
process.exit(build() ? 0 : 1);
