import 'reflect-metadata';
import { ValidationPipe } from '@nestjs/common';

/**
 * Whether a pipe would only do harm to messages of a class. Nest's `ValidationPipe` goes by the decorators of class-validator: of a class that has none it would check
 * nothing, and with `whitelist` take everything out of a message that has been read and checked already, or with `forbidUnknownValues` refuse it. One that
 * does work of its own is none of these.
 */
export function isIdle(pipe: unknown, messageClass: unknown): boolean {
  if (!(pipe instanceof ValidationPipe) || pipe.transform !== ValidationPipe.prototype.transform) return false;
  // Protected in Nest.
  const { expectedType, validatorOptions = {} } = pipe as unknown as {
    readonly expectedType?: unknown;
    readonly validatorOptions?: { readonly whitelist?: boolean; readonly forbidUnknownValues?: boolean };
  };
  const isHarmful = validatorOptions.whitelist === true || validatorOptions.forbidUnknownValues === true;
  return isHarmful && !hasRules(expectedType ?? messageClass);
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
