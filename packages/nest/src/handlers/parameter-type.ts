import type { MessageClass } from '@holdfast/core';

/**
 * Refuses a handler whose parameter is another class than the one it subscribes to. The compiler lets classes of the same shape pass for each
 * other; at run time they are two messages, and nothing of the parameter's class (its methods, its schema) is what arrives.
 *
 * @param parameter type of the first parameter as the compiler wrote it: Object for interfaces and unions, undefined when there is none
 */
export function twinParameter(target: string, types: readonly MessageClass[], parameter: unknown): string | undefined {
  if (typeof parameter !== 'function' || parameter === Object) return undefined;
  const stranger = types.find((type) => type !== parameter && !(type.prototype instanceof parameter));
  if (!stranger) return undefined;
  const sameName = parameter.name === stranger.name ? ' of another file' : '';
  return `${target} subscribes to ${stranger.name}, and its parameter is of the class ${parameter.name}${sameName}. Two classes of the same shape are two messages: declare the parameter with the class the handler subscribes to (look at the imports)`;
}
