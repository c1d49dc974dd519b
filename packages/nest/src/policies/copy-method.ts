import 'reflect-metadata';

/**
 * Makes a function pass for the method it stands for: Nest and other libraries read metadata, name and number of parameters from the
 * function object, and decorators that ran before wrote to the original.
 */
export function copyMethod(original: object, copy: object): void {
  for (const key of Reflect.getOwnMetadataKeys(original)) Reflect.defineMetadata(key, Reflect.getOwnMetadata(key, original), copy);
  for (const key of Reflect.ownKeys(original)) {
    if (key === 'prototype') continue;
    const descriptor = Object.getOwnPropertyDescriptor(original, key);
    if (descriptor) Object.defineProperty(copy, key, { ...descriptor, configurable: true });
  }
}
