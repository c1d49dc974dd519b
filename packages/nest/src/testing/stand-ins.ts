import {
  type Answer,
  answerWith,
  type Asked,
  type Clock,
  describeMessage,
  type Envelope,
  isDeliberate,
  limitsFrom,
  type MessageClass,
  type PublishOutcome,
  refusalFor,
  replyOf,
  systemRandom,
  type Transport,
} from '@holdfast/core';

/** A command that nobody in the application handles, as the service that owns it would get it. */
export interface TakenCommand {
  readonly envelope: Envelope;
  readonly transport: Transport;
}

/** Takes the commands of one saga. */
type Take = (command: TakenCommand) => void;

const LIMITS = limitsFrom();

/** In place of other services: takes the commands that the application has no handler for, where the test has somebody to answer them. */
export class StandIns {
  private readonly answers = new Map<string, { readonly target: MessageClass; readonly give: (command: never) => unknown }>();
  private readonly ofSagas = new Map<string, Take>();

  constructor(
    private readonly clock: Clock,
    private readonly service: string,
  ) {}

  /** Says who answers commands of a class. */
  answer(target: MessageClass, give: (command: never) => unknown): void {
    this.answers.set(describeMessage(target).type, { target, give });
  }

  /** Takes the commands of a saga from now on. */
  ofSaga(id: string, take: Take): void {
    this.ofSagas.set(id, take);
  }

  /** What the transport could not deliver, and is taken here after all. */
  async publish(transport: Transport, batch: readonly Envelope[]): Promise<readonly PublishOutcome[]> {
    const outcomes = await transport.publish(batch);
    return batch.map((envelope, at): PublishOutcome => {
      const outcome = outcomes[at] as PublishOutcome;
      return outcome === 'unroutable' && envelope.kind === 'command' && this.take({ envelope, transport }) ? 'confirmed' : outcome;
    });
  }

  /** Sends the answer to a command back. */
  async reply({ envelope, transport }: TakenCommand, answer: Answer): Promise<void> {
    if (envelope.replyTo === undefined) return;
    await transport.publish([
      replyOf(envelope as Envelope & Asked, answer, { service: this.service, clock: this.clock, random: systemRandom }),
    ]);
  }

  private take(command: TakenCommand): boolean {
    const { envelope } = command;
    const take = this.ofSagas.get(envelope.sagaId ?? '');
    if (take !== undefined) {
      take(command);
      return true;
    }
    const found = this.answers.get(envelope.type);
    if (found === undefined) return false;
    // As another service would: later, and not in the publisher's hands.
    setImmediate(() => void this.answered(command, found.target, found.give).then((answer) => this.reply(command, answer)));
    return true;
  }

  private async answered({ envelope }: TakenCommand, target: MessageClass, give: (command: never) => unknown): Promise<Answer> {
    try {
      const command = Object.assign(Object.create(target.prototype as object) as object, dataOf(envelope));
      return answerWith(await give(command as never), LIMITS);
    } catch (error) {
      return refusalFor(error, LIMITS, isDeliberate(error));
    }
  }
}

/** The data of a message, as it travelled. */
export function dataOf({ body }: Envelope): object {
  return JSON.parse(Buffer.from(body).toString()) as object;
}
