// Stands for ts-node and its like: a compiler that hooks into require only.
const Module = require('node:module');
const { compile } = require('./from-source.cjs');

Module._extensions['.ts'] = (module, file) => module._compile(compile(file), file);
