import 'reflect-metadata';
import type { ClassMethod } from './holdfast-metadata.accessor.js';

/** Metadata key, on the class, of what decorators said about parameters of a method. @source @nestjs/common, ROUTE_ARGS_METADATA (no public entry point) */
export const ROUTE_ARGUMENTS = '__routeArguments__';

/** Metadata keys of methods that others call as well, with those parameters: routes, patterns, messages of sockets, resolvers. @source @nestjs/common, microservices, websockets, graphql */
const CALLED_BY_OTHERS = ['path', 'microservices:pattern', 'message', 'graphql:resolver_type'];

/** Refuses decorators, and with them pipes, on parameters of a handler that nothing but the engine calls: it gives the message and the delivery, and looks at none. */
export function parameterDecorators({ owner, name, target }: ClassMethod, keys: readonly unknown[]): readonly string[] {
  if (!Reflect.hasOwnMetadata(ROUTE_ARGUMENTS, owner.constructor, name) || CALLED_BY_OTHERS.some((key) => keys.includes(key))) return [];
  return [
    `${target} has decorators on its parameters, and a handler is called with the message and the delivery: they would do nothing. Remove them, and put a pipe into @UsePipes`,
  ];
}
