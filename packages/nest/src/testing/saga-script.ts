import { AssertionError, deepStrictEqual } from 'node:assert';
import {
  answerWith,
  type Command,
  type DataOf,
  describeMessage,
  type Duration,
  type Holdfast,
  limitsFrom,
  NonRetryableError,
  refusalFor,
  type SagaInstance,
  type SagaOutcome,
  type VirtualTime,
} from '@holdfast/core';
import type { ExpectedCommand, SagaScript } from './holdfast-testing.js';
import { dataOf, type StandIns, type TakenCommand } from './stand-ins.js';

const LIMITS = limitsFrom();
/** How far the clock is moved on at a time while a saga waits for nobody but the time. */
const STEP: Duration = '10s';
/** How often: longer than the attempts of a step last, with its time-outs and the waits between. */
const STEPS = 60;
/** Until a process looks for sagas again: a step that could not be tried, as on a busy machine, is tried then. */
const LOOK: Duration = '1s';
const LOOKS = 3;
/** It has not ended, and waits for no person. */
const OPEN: readonly SagaInstance['status'][] = ['running', 'waiting', 'compensating'];

/** What a script works with. */
export interface SagaScriptParts {
  readonly engine: Holdfast;
  readonly clock: VirtualTime;
  readonly standIns: StandIns;
  readonly deliver: (message: object, options: { key: string }) => Promise<void>;
  readonly settled: () => Promise<void>;
}

let count = 0;

/** A saga test as a list of things to do, done when its end is awaited. */
export class RecordedSagaScript<State> implements SagaScript<State> {
  private readonly id = `script-${++count}`;
  private readonly todo: (() => Promise<void>)[] = [];
  /** Commands that the saga has sent and nobody has looked at. */
  private readonly sent: TakenCommand[] = [];
  /** Requests that nobody answers, however often they are sent. */
  private readonly silenced = new Set<string>();

  constructor(
    private readonly saga: abstract new (...args: never[]) => object,
    private readonly parts: SagaScriptParts,
  ) {}

  given(state: State): this {
    return this.add(async () => {
      this.parts.standIns.ofSaga(this.id, (command) => void this.sent.push(command));
      await this.parts.engine.sagas.start(this.saga, state as never, { id: this.id });
    });
  }

  after(time: Duration): this {
    return this.add(async () => {
      await this.parts.settled();
      await this.parts.clock.advance(time);
    });
  }

  signal(message: object, options: { key: string }): this {
    return this.add(async () => {
      await this.parts.settled();
      await this.parts.deliver(message, options);
    });
  }

  expect<Reply>(command: Command<Reply>): ExpectedCommand<State, Reply> {
    let found: TakenCommand | undefined;
    this.add(async () => {
      found = await this.next(command);
    });
    const { standIns } = this.parts;
    const answered = (answer: () => Parameters<StandIns['reply']>[1]) => this.add(() => standIns.reply(found as TakenCommand, answer()));
    return {
      reply: (...[value]: readonly unknown[]) => answered(() => answerWith(value, LIMITS)),
      refuse: (message) => answered(() => refusalFor(new NonRetryableError(message), LIMITS, true)),
      silence: () => this.add(async () => void this.silenced.add((found as TakenCommand).envelope.id)),
    };
  }

  async ends(status: SagaOutcome<State>['status'], state: Partial<DataOf<State>> = {}): Promise<void> {
    for (const act of this.todo) await act();
    const instance = await this.waited(() => false);
    const [unexpected] = this.unseen();
    if (instance?.status !== status || unexpected !== undefined) throw this.unlike(`is ${status}`, instance);
    const outcome = await this.parts.engine.sagas.result(this.id);
    const found = outcome.state as Readonly<Record<string, unknown>>;
    const looked = Object.fromEntries(Object.keys(state).map((field) => [field, found[field]]));
    deepStrictEqual(looked, JSON.parse(JSON.stringify(state)), `the state of ${this.id}`);
  }

  private add(act: () => Promise<void>): this {
    this.todo.push(act);
    return this;
  }

  private async next(command: Command<unknown>): Promise<TakenCommand> {
    const instance = await this.waited(() => this.unseen().length > 0);
    const [found] = this.unseen();
    const wanted = { type: describeMessage(command).type, data: JSON.parse(JSON.stringify(command)) as object };
    if (found === undefined) throw this.unlike(`asks for ${JSON.stringify(wanted)}`, instance);
    this.sent.splice(this.sent.indexOf(found), 1);
    deepStrictEqual({ type: found.envelope.type, data: dataOf(found.envelope) }, wanted, 'the command that the saga has sent');
    return found;
  }

  private unseen(): readonly TakenCommand[] {
    return this.sent.filter(({ envelope }) => !this.silenced.has(envelope.id));
  }

  /** Lets the saga work; while it is silent on purpose, the clock moves on, and a little where it is at work and nobody works on it. */
  private async waited(isEnough: () => boolean): Promise<SagaInstance | undefined> {
    for (let step = 0; ; step += 1) {
      await this.parts.settled();
      const instance = await this.parts.engine.sagas.get(this.id);
      const isOpen = instance !== undefined && OPEN.includes(instance.status);
      if (isEnough() || !isOpen) return instance;
      const isSilent = this.silenced.size > 0;
      if (isSilent ? step === STEPS : instance.status === 'waiting' || step === LOOKS) return instance;
      await this.parts.clock.advance(isSilent ? STEP : LOOK);
    }
  }

  private unlike(expected: string, instance: SagaInstance | undefined): AssertionError {
    const { status = 'not there', step, waitsFor = [], failure, history = [] } = instance ?? {};
    const sent = this.unseen().map(({ envelope }) => `${envelope.type} ${JSON.stringify(dataOf(envelope))}`);
    const lines = [
      `the saga ${expected} was expected, and it is ${status}${step === undefined ? '' : ` at ${step}`}`,
      failure && `failure: ${failure.step}: ${failure.message}`,
      waitsFor.length > 0 && `it waits for ${waitsFor.join(' and ')}`,
      sent.length > 0 && `it has sent ${sent.join(' and ')}`,
      `history: ${history.map(({ step: at, event }) => (at === undefined ? event : `${at} ${event}`)).join(', ')}`,
    ];
    return new AssertionError({ message: lines.filter(Boolean).join('\n'), expected, actual: status });
  }
}
