import { connect, type Socket } from 'node:net';
import { hfError } from '@holdfast/core';

/** What is asked of a broker or a name server. */
export interface RemotingRequest {
  /** Of RocketMQ's `RequestCode`. */
  readonly code: number;
  readonly fields?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** What it says. */
export interface RemotingAnswer {
  /** 0: done. */
  readonly code: number;
  readonly remark: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly body: string;
}

interface Waiting {
  readonly resolve: (answer: RemotingAnswer) => void;
  readonly reject: (error: Error) => void;
}

/** More than all groups of a large cluster. */
const MOST_BYTES = 64 * 1024 * 1024;
/** Of the length of a header, the other byte says how it is written: 0 is JSON. */
const LENGTH = 0xff_ffff;

/**
 * A connection to a broker or a name server that speaks RocketMQ's own protocol, as its command line does: a frame is its length, the length of the header,
 * the header as JSON, and the body. Answers are told apart by a number.
 *
 * @source org.apache.rocketmq.remoting.protocol.RemotingCommand
 */
export class RemotingConnection {
  private readonly socket: Socket;
  private readonly waiting = new Map<number, Waiting>();
  private seen = Buffer.alloc(0);
  private count = 0;
  private ended: Error | undefined;

  /** @param timeoutMs longest wait for anything to come while something is waited for */
  constructor(
    readonly address: string,
    timeoutMs: number,
  ) {
    const port = address.slice(address.lastIndexOf(':') + 1);
    const host = address.slice(0, -port.length - 1).replace(/^\[|\]$/g, '');
    this.socket = connect({ host, port: Number(port) });
    this.socket.setTimeout(timeoutMs, () => this.end(hfError('HF_BROKER_UNANSWERED', { request: `a request to ${address}`, timeoutMs })));
    this.socket.on('error', (cause) => this.end(hfError('HF_BROKER_UNREACHABLE', { address, reason: cause.message }, { cause })));
    this.socket.on('close', () => this.end(hfError('HF_BROKER_UNREACHABLE', { address, reason: 'it closed the connection' })));
    this.socket.on('data', (chunk) => this.read(chunk));
  }

  /** @throws HF_BROKER_UNREACHABLE, HF_BROKER_UNANSWERED */
  ask({ code, fields = {}, body }: RemotingRequest): Promise<RemotingAnswer> {
    if (this.ended !== undefined) return Promise.reject(this.ended);
    this.count += 1;
    const header = Buffer.from(JSON.stringify({ code, language: 'JAVA', version: 453, opaque: this.count, flag: 0, extFields: fields }));
    const content = body === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(body));
    const sizes = Buffer.alloc(8);
    sizes.writeInt32BE(4 + header.length + content.length, 0);
    sizes.writeInt32BE(header.length, 4);
    return new Promise((resolve, reject) => {
      this.waiting.set(this.count, { resolve, reject });
      this.socket.write(Buffer.concat([sizes, header, content]));
    });
  }

  /** Lets go of it; what is waited for is not answered any more. */
  end(error: Error = hfError('HF_STOPPING', { activity: 'a connection' })): void {
    this.ended ??= error;
    this.socket.destroy();
    for (const { reject } of this.waiting.values()) reject(this.ended);
    this.waiting.clear();
  }

  private read(chunk: Buffer): void {
    this.seen = Buffer.concat([this.seen, chunk]);
    try {
      for (let frame = this.nextFrame(); frame !== undefined; frame = this.nextFrame()) this.answer(frame);
    } catch (error) {
      const reason = `it answers what cannot be read (${error instanceof Error ? error.message : error}); is it RocketMQ?`;
      this.end(hfError('HF_BROKER_UNREACHABLE', { address: this.address, reason }, { cause: error }));
    }
  }

  private nextFrame(): Buffer | undefined {
    if (this.seen.length < 4) return undefined;
    const length = this.seen.readInt32BE(0);
    if (length < 4 || length > MOST_BYTES) throw new Error(`a frame of ${length} bytes`);
    if (this.seen.length < 4 + length) return undefined;
    const frame = this.seen.subarray(4, 4 + length);
    this.seen = this.seen.subarray(4 + length);
    return frame;
  }

  private answer(frame: Buffer): void {
    const end = 4 + (frame.readInt32BE(0) & LENGTH);
    const { code, opaque, remark, extFields } = JSON.parse(frame.subarray(4, end).toString());
    this.waiting.get(opaque)?.resolve({ code, remark: remark ?? '', fields: extFields ?? {}, body: frame.subarray(end).toString() });
    this.waiting.delete(opaque);
  }
}

/** RocketMQ writes numbers as the names of fields without quotes. */
export function parsed(json: string): unknown {
  return JSON.parse(json.replace(/([{,]\s*)(-?\d+)(\s*:)/g, '$1"$2"$3'));
}
