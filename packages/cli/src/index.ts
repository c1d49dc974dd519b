export { holdfast } from './holdfast.js';
export type { ExitCode } from './command.js';
export type { Terminal } from './terminal.js';
