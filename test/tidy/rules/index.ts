import type { Rule } from '../source.js';
import { ambientTime } from './ambient.js';
import { escapes } from './escapes.js';
import { declaredDependencies, importArrows } from './imports.js';
import { bannedWords, fileNames, interfacePrefix } from './names.js';
import { testTitles, unfinished } from './prose.js';
import { fileSize, functionSize, parameterCount, portMethods } from './sizes.js';

export { undocumentedExports } from './doc-comments.js';

/** The rules that look at one file at a time. */
export const rules: readonly Rule[] = [
  fileSize,
  functionSize,
  parameterCount,
  portMethods,
  escapes,
  ambientTime,
  importArrows,
  declaredDependencies,
  bannedWords,
  interfacePrefix,
  fileNames,
  unfinished,
  testTitles,
];
