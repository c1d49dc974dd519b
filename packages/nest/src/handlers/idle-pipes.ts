import 'reflect-metadata';
import { ValidationPipe } from '@nestjs/common';

/**
 * Whether a pipe would do nothing for messages of a class, or harm. Nest's `ValidationPipe` goes by the decorators of class-validator: of a class that has none it checks
 * nothing, and takes everything out of a message that has been read and checked already, refuses it, or makes a plain object of it, as its options are.
 * What it is good for then is to make instances within the message (`transform`). One that does work of its own is left alone.
 */
export function isIdle(pipe: unknown, messageClass: unknown): boolean {
  if (!(pipe instanceof ValidationPipe) || pipe.transform !== ValidationPipe.prototype.transform) return false;
  // Protected in Nest.
  const options = pipe as unknown as PipeOptions;
  return !makesInstances(options) && !hasRules(options.expectedType ?? messageClass);
}

/** @source Nest, ValidationPipe; class-transformer, ClassTransformOptions */
interface PipeOptions {
  readonly expectedType?: unknown;
  readonly isTransformEnabled?: boolean;
  readonly validatorOptions?: { readonly whitelist?: boolean; readonly forbidUnknownValues?: boolean };
  readonly transformOptions?: { readonly excludeExtraneousValues?: boolean; readonly strategy?: string };
}

function makesInstances({ isTransformEnabled, validatorOptions, transformOptions }: PipeOptions): boolean {
  const refuses = validatorOptions?.whitelist || validatorOptions?.forbidUnknownValues;
  const empties = transformOptions?.excludeExtraneousValues || transformOptions?.strategy === 'excludeAll';
  return isTransformEnabled === true && !refuses && !empties;
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
