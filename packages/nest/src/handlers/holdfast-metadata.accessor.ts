import 'reflect-metadata';
import { type DecoratedMethod, decoratedMethods, type MessageClass, targetName } from '@holdfast/core';
import { Injectable } from '@nestjs/common';

/** A decorated method, as it will be called on instances of a class. */
export interface ClassMethod extends DecoratedMethod {
  /** `Class.method`, for errors. */
  readonly target: string;
}

/** The only reader of what Holdfast's decorators wrote. */
@Injectable()
export class HoldfastMetadataAccessor {
  /** Handlers among the methods of a class. */
  handlers(prototype: object): readonly ClassMethod[] {
    return this.methods(prototype).filter(({ metadata }) => metadata.subscription);
  }

  /** Decorated methods that instances of a class have; what a subclass overrides is left out. */
  methods(prototype: object): readonly ClassMethod[] {
    const methods = decoratedMethods(prototype).filter(({ isEffective }) => isEffective);
    return methods.map((method) => ({ ...method, target: targetName(prototype, method.name) }));
  }

  /** Message classes of a handler. */
  types({ metadata }: ClassMethod): readonly MessageClass[] {
    return [metadata.subscription?.types ?? []].flat() as readonly MessageClass[];
  }

  /** Types of the parameters, as the compiler wrote them; undefined when it does not. */
  parameterTypes({ owner, name }: ClassMethod): readonly unknown[] | undefined {
    return Reflect.getMetadata('design:paramtypes', owner, name);
  }

  /** Keys of all metadata that any library has put on a method. */
  metadataKeys({ owner, name }: Pick<ClassMethod, 'owner' | 'name'>): readonly unknown[] {
    const method = Object.getOwnPropertyDescriptor(owner, name)?.value as object;
    return [...Reflect.getOwnMetadataKeys(method), ...Reflect.getOwnMetadataKeys(owner, name)];
  }
}
