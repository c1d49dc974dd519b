import type { Random } from '../time/random.js';
import type { SagaCommand, SagaDecision, SagaNote, SagaNoteEvent } from './saga-event.js';
import { type SagaDefinition, type SagaFailure, type SagaStepDefinition, stepOf } from './saga-definition.js';
import {
  AT_ONCE,
  type DoneStep,
  type KeptSignal,
  type OpenBranch,
  type SagaDirection,
  type SagaProgress,
  type SagaStatus,
  type StepAt,
} from './saga-progress.js';

/** What a decision is made with besides the progress. */
export interface SagaGiven {
  readonly id: string;
  readonly state: object;
  readonly nowMs: number;
  readonly random: Random;
}

/** A decision in the making: where a saga stands, moved on by one event. */
export class SagaDraft {
  status: SagaStatus;
  at: readonly StepAt[];
  done: readonly DoneStep[];
  leftOut: readonly string[];
  branches: readonly OpenBranch[];
  kept: readonly KeptSignal[];
  lock: SagaProgress['lock'];
  failure: SagaFailure | undefined;
  parked: SagaProgress['parked'];
  private readonly unread: string | undefined;
  readonly set: Record<string, unknown> = {};
  private readonly commands: SagaCommand[] = [];
  private readonly notes: SagaNote[] = [];

  constructor(
    readonly definition: SagaDefinition,
    progress: SagaProgress,
    readonly given: SagaGiven,
  ) {
    this.status = progress.status;
    this.at = progress.at;
    this.done = progress.done;
    this.leftOut = progress.leftOut;
    this.branches = progress.branches ?? [];
    this.kept = progress.kept ?? [];
    this.lock = progress.lock;
    this.failure = progress.failure;
    this.parked = progress.parked;
    this.unread = progress.unread;
  }

  /** The state with what this event brought. */
  get state(): object {
    return { ...this.given.state, ...this.set };
  }

  get direction(): SagaDirection {
    // Of one that parked because nobody could read where it stood, the row does not say it, also when it is corrected.
    const turnsBack = this.status === 'compensating' || (this.status === 'parked' && this.failure !== undefined);
    return this.parked?.while ?? (turnsBack ? 'compensating' : 'running');
  }

  stepOf({ step }: Pick<StepAt, 'step'>): SagaStepDefinition {
    return stepOf(this.definition, step) as SagaStepDefinition;
  }

  find(step: string): StepAt | undefined {
    return this.at.find((one) => one.step === step);
  }

  /** A step, or its compensation, is to be called. */
  begin(step: string, way: SagaDirection): void {
    this.at = [...this.at, { step, way, attempts: 0, callMs: AT_ONCE }];
    this.call(step, way, 0);
  }

  /** Says that the method of a step, or of its compensation, is to be called. */
  call(step: string, way: SagaDirection, afterMs: number): void {
    const compensation = this.stepOf({ step }).compensation;
    this.command(way === 'running' ? { do: 'run', step, afterMs } : { do: 'undo', step, compensation: compensation as string, afterMs });
  }

  command(command: SagaCommand): void {
    this.commands.push(command);
  }

  /** Gives a step at work other fields; the one it has become. */
  change(entry: StepAt, fields: Partial<StepAt>): StepAt {
    const changed = { ...entry, ...fields };
    this.at = this.at.map((one) => (one.step === entry.step ? changed : one));
    return changed;
  }

  remove({ step }: StepAt): void {
    this.at = this.at.filter((one) => one.step !== step);
  }

  note(step: string | undefined, event: SagaNoteEvent, detail?: string): void {
    this.notes.push({ step, event, detail });
  }

  /** Keeps what came in a field of the state. */
  keep(into: string | undefined, value: unknown): void {
    if (into !== undefined) this.set[into] = value;
  }

  /** It waits for a person. */
  park(entry: StepAt | undefined, failure: SagaFailure): void {
    if (entry !== undefined) this.change(entry, { isStopped: true, callMs: undefined });
    this.parked = { while: this.direction, failure, sinceMs: this.given.nowMs };
    this.status = 'parked';
    // As the time-out of the saga: nobody knows how long a person takes.
    this.branches = [];
    this.command({ do: 'park', failure });
    this.note(entry?.step, 'parked', failure.message);
  }

  /** It waits for nobody any more. */
  free(): void {
    this.status = this.direction;
    this.parked = undefined;
    this.at = this.at.map(({ isStopped: _, ...entry }) => entry);
  }

  end(status: 'completed' | 'compensated'): void {
    this.status = status;
    this.parked = undefined;
    this.at = [];
    this.branches = [];
    this.kept = [];
    this.command({ do: 'end', status });
    this.note(undefined, status);
  }

  get decision(): SagaDecision {
    const { status, at, done, leftOut, lock, failure, parked, unread, set, commands, notes } = this;
    const branches = this.branches.length === 0 ? undefined : this.branches;
    const kept = this.kept.length === 0 ? undefined : this.kept;
    return { progress: { status, at, done, leftOut, branches, kept, lock, failure, parked, unread }, commands, notes, set };
  }
}
