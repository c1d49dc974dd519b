import { describeSaga } from '@holdfast/core';
import { Inject, Injectable } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { type ClassMethod, HoldfastMetadataAccessor } from './holdfast-metadata.accessor.js';

/** What Nest's discovery gives: a provider or controller. */
export type InstanceWrapper = ReturnType<DiscoveryService['getProviders']>[number];

/** A class with decorated methods, once, however many modules provide it. */
export interface DiscoveredClass {
  readonly prototype: object;
  /** The first provider or controller of this class. */
  readonly wrapper: InstanceWrapper;
  readonly handlers: readonly ClassMethod[];
  /** All decorated methods, handlers included. */
  readonly methods: readonly ClassMethod[];
  /** What exists of it before anything is resolved: none for request scope and transients. */
  readonly instances: readonly object[];
}

/** The only one who walks the container. */
@Injectable()
export class HoldfastExplorer {
  constructor(
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(HoldfastMetadataAccessor) private readonly accessor: HoldfastMetadataAccessor,
  ) {}

  /** Classes of providers and controllers that are sagas or have decorated methods. */
  explore(): readonly DiscoveredClass[] {
    const byClass = new Map<object, InstanceWrapper[]>();
    for (const wrapper of [...this.discovery.getControllers(), ...this.discovery.getProviders()]) {
      const prototype = wrapper.isAlias ? undefined : prototypeOf(wrapper);
      if (this.isOurs(prototype)) byClass.set(prototype, [...(byClass.get(prototype) ?? []), wrapper]);
    }
    return [...byClass].map(([prototype, wrappers]) => ({
      prototype,
      wrapper: wrappers[0] as InstanceWrapper,
      handlers: this.accessor.handlers(prototype),
      methods: this.accessor.methods(prototype),
      instances: wrappers.filter(isStatic).map((wrapper) => wrapper.instance as object),
    }));
  }

  /** Classes that only a factory gives, and not once for the whole application: there is never anything to look at. Gives what is wrong with them. */
  outOfSight(found: readonly DiscoveredClass[]): readonly string[] {
    const classes = this.discovery
      .getProviders()
      .filter((wrapper) => wrapper.isFactory && !wrapper.isAlias && !isStatic(wrapper))
      .map(({ token }) => token)
      .filter((token) => typeof token === 'function' && this.isOurs(token.prototype as object | undefined));
    return [...new Set(classes as readonly (new () => object)[])]
      .filter((one) => !found.some(({ prototype }) => prototype === one.prototype || prototype instanceof one))
      .map(
        ({ name }) =>
          `${name} comes from a factory that is called for each request or user: what it gives is not there to be looked at, so its handlers would never be called and its policies not be kept. Provide the class itself, in any scope, or let the factory inject only what is made once`,
      );
  }

  private isOurs(prototype: object | undefined): prototype is object {
    // What no class made has no decorators: a prototype may have no constructor, or a value no prototype, as the namespace of a module.
    if (typeof prototype?.constructor !== 'function') return false;
    return describeSaga(prototype.constructor) !== undefined || this.accessor.methods(prototype).length > 0;
  }
}

/** True when there is one instance for the whole application, which exists by now. */
export function isStatic(wrapper: InstanceWrapper): boolean {
  return wrapper.isDependencyTreeStatic() && !wrapper.isTransient;
}

/** The prototype instances of a provider have: from its class, because an instance may be a proxy, or not there yet. */
function prototypeOf({ inject, metatype, instance }: InstanceWrapper): object | undefined {
  // A factory has no class to look at; a value has neither.
  if (metatype && !inject) return metatype.prototype as object | undefined;
  if (typeof instance !== 'object' || instance === null) return undefined;
  return (Object.getPrototypeOf(instance) as object | null) ?? undefined;
}
