import { adoptMethods, type AsyncMethod, hfError, methodMetadata, targetName } from '@holdfast/core';
import { Inject, Optional } from '@nestjs/common';
import { copyMethod } from './copy-method.js';
import { HOLDFAST_HOST, type MethodCall, type MethodHost } from './method-host.js';

/**
 * Direct calls of decorated methods keep their policies: the first policy of a method replaces it by a wrapper, and gives its class a hidden
 * property that Nest fills with the host of the application the instance belongs to. So it works for every scope, through `this`, and for
 * several applications in one process that share a class.
 */
adoptMethods(({ target, name, descriptor }) => {
  injectHost(target);
  if (descriptor) descriptor.value = wrap(target, name, descriptor.value);
  else replace(target, name);
});

/** Gives an instance its host, where Nest did not: a factory or a value made it. True when it has this host now. */
export function bindHost(instance: object, host: MethodHost): boolean {
  const holder = instance as { [HOLDFAST_HOST]?: MethodHost };
  if (holder[HOLDFAST_HOST] === undefined || holder[HOLDFAST_HOST].phase === 'ended') holder[HOLDFAST_HOST] = host;
  return holder[HOLDFAST_HOST] === host;
}

function replace(target: object, name: string): void {
  const descriptor = Object.getOwnPropertyDescriptor(target, name);
  if (descriptor) Object.defineProperty(target, name, { ...descriptor, value: wrap(target, name, descriptor.value) });
}

function wrap(target: object, name: string, original: AsyncMethod): AsyncMethod {
  const wrapper = function (this: object, ...args: never[]): Promise<unknown> {
    const call: MethodCall = { instance: this, owner: target, name, original, args };
    const host = (this as { [HOLDFAST_HOST]?: MethodHost } | undefined)?.[HOLDFAST_HOST];
    return host instanceof Object ? host.call(call) : callWithoutHost(call);
  };
  copyMethod(original, wrapper);
  return wrapper;
}

/** A handler called by hand keeps only its transaction, so without one it needs no application. */
function callWithoutHost({ instance, owner, name, original, args }: MethodCall): Promise<unknown> {
  const metadata = methodMetadata(owner, name);
  if ((metadata?.subscription ?? metadata?.durable) && !metadata?.transactional) return original.apply(instance, args);
  return Promise.reject(hfError('HF_NEST_MODULE_MISSING', { target: targetName(instance ?? owner, name) }));
}

function injectHost(target: object): void {
  if (Object.hasOwn(target, HOLDFAST_HOST)) return;
  // The property of the instance is not enumerable: it is neither printed, nor serialised, nor compared.
  Object.defineProperty(target, HOLDFAST_HOST, {
    configurable: true,
    get: () => undefined,
    set(this: object, host: unknown) {
      Object.defineProperty(this, HOLDFAST_HOST, { value: host, configurable: true, writable: true });
    },
  });
  Inject(HOLDFAST_HOST)(target, HOLDFAST_HOST);
  Optional()(target, HOLDFAST_HOST);
}
