import { ensureInstalled } from './ensure-installed.mjs';
import { launch } from './run.mjs';

ensureInstalled();
launch('samples/01-order-payment-stock/dist/main.js');
