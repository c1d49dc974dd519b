import 'reflect-metadata';
import { ValidationPipe } from '@nestjs/common';

/**
 * Whether a pipe would only do harm to messages of a class. Nest's `ValidationPipe` goes by the decorators of class-validator: of a class that has none it checks
 * nothing, and as its options are it takes everything out of a message that has been read and checked already, refuses it, or makes a plain object of it.
 * One that does work of its own is left alone.
 */
export function isIdle(pipe: unknown, messageClass: unknown): boolean {
  if (!(pipe instanceof ValidationPipe)) return false;
  // Protected in Nest.
  const [options, nests] = [pipe, ValidationPipe.prototype] as unknown as readonly [PipeOptions, PipeOptions];
  if (options.transform !== nests.transform || options.validate !== nests.validate) return false;
  return isHarmful(options) && !hasRules(options.expectedType ?? messageClass);
}

/** @source Nest, ValidationPipe; class-transformer, ClassTransformOptions */
interface PipeOptions {
  readonly transform: unknown;
  readonly validate: unknown;
  readonly expectedType?: unknown;
  readonly isTransformEnabled?: boolean;
  readonly validatorOptions?: { readonly whitelist?: boolean; readonly forbidUnknownValues?: boolean };
  readonly transformOptions?: { readonly excludeExtraneousValues?: boolean; readonly strategy?: string };
}

function isHarmful({ isTransformEnabled, validatorOptions = {}, transformOptions }: PipeOptions): boolean {
  if (validatorOptions.whitelist || validatorOptions.forbidUnknownValues) return true;
  // With any option but the one that Nest sets itself it makes a plain object of what it has looked at.
  if (!isTransformEnabled) return Object.keys(validatorOptions).length > 1;
  return transformOptions?.excludeExtraneousValues === true || transformOptions?.strategy === 'excludeAll';
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
