import 'reflect-metadata';
import { ValidationPipe } from '@nestjs/common';

/**
 * Whether a pipe has nothing to do with messages of a class. Nest's `ValidationPipe` goes by the decorators of class-validator: of a class that has none it would check
 * nothing, and with `whitelist` take everything out of a message that has been read and checked already.
 */
export function isIdle(pipe: unknown, messageClass: unknown): boolean {
  if (!(pipe instanceof ValidationPipe)) return false;
  // Protected in Nest.
  const { expectedType } = pipe as unknown as { readonly expectedType?: unknown };
  return !hasRules(expectedType ?? messageClass);
}

/** Whether class-validator, if the application has it, knows of anything to check. */
function hasRules(target: unknown): boolean {
  const { classValidatorMetadataStorage: storage } = globalThis as { classValidatorMetadataStorage?: Rules };
  return storage !== undefined && storage.getTargetValidationMetadatas(target, '', true, false).length > 0;
}

/** @source class-validator, MetadataStorage */
interface Rules {
  getTargetValidationMetadatas(
    ...of: readonly [target: unknown, schema: string, always: boolean, strictGroups: boolean]
  ): readonly unknown[];
}
