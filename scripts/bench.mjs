import { ensureInstalled } from './ensure-installed.mjs';
import { launch } from './run.mjs';

ensureInstalled();
launch('bench/dist/main.js');
