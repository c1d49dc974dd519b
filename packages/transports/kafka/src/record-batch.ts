import type { OutgoingRecord } from './client.port.js';

type Headers = OutgoingRecord['headers'];
type Content = Pick<OutgoingRecord, 'key' | 'value' | 'headers'>;

/** What kafkajs gives for a produce request. */
export interface ProduceRequest {
  readonly transactionalId?: string | null;
  readonly acks: number;
  readonly timeout: number;
  /** A 64-bit number, in any form that its digits can be had from. */
  readonly producerId: unknown;
  readonly producerEpoch: number;
  readonly topicData: readonly { readonly topic: string; readonly partitions: readonly PartitionRecords[] }[];
}

/** Records of one partition, which the broker takes as one batch. */
export interface PartitionRecords {
  readonly partition: number;
  readonly firstSequence: number;
  readonly messages: readonly Content[];
}

/** The form of record batches that Kafka has had since 0.11. */
const MAGIC = 2;
const TRANSACTIONAL = 16;
/** Length of what comes before the records, and of its parts: up to the length, and up to what the checksum is of. */
const HEAD = 61;
const HEAD_TO_LENGTH = 12;
const HEAD_TO_CHECKED = 21;
/** A record without a key, or without a value. */
const ABSENT = -1;

/**
 * A produce request of versions 3 to 7, uncompressed. It is byte for byte what kafkajs makes, which takes several buffers for each header of each record: with the
 * attributes of a CloudEvent, most of what it costs to publish.
 *
 * @source Kafka protocol, Produce; Kafka documentation §5.3 (record batch)
 */
export function encodeProduce(request: ProduceRequest, atMs: number): Buffer {
  const { transactionalId = null, acks, timeout, topicData } = request;
  const sizes = new Map<PartitionRecords, readonly number[]>();
  let length = 2 + (transactionalId === null ? 0 : Buffer.byteLength(transactionalId)) + 10;
  for (const { topic, partitions } of topicData) {
    length += 2 + Buffer.byteLength(topic) + 4;
    for (const data of partitions) {
      const ofRecords = data.messages.map(sizeOfRecord);
      sizes.set(data, ofRecords);
      length += 8 + batchSize(ofRecords);
    }
  }
  const writer = new Writer(length);
  writer.string(transactionalId);
  writer.int16(acks);
  writer.int32(timeout);
  writer.int32(topicData.length);
  for (const { topic, partitions } of topicData) {
    writer.string(topic);
    writer.int32(partitions.length);
    for (const data of partitions) writeBatch(writer, { request, data, sizes: sizes.get(data) ?? [], atMs });
  }
  return writer.buffer;
}

interface Batch {
  readonly request: ProduceRequest;
  readonly data: PartitionRecords;
  readonly sizes: readonly number[];
  readonly atMs: number;
}

function writeBatch(writer: Writer, { request, data, sizes, atMs }: Batch): void {
  const { partition, firstSequence, messages } = data;
  const size = batchSize(sizes);
  writer.int32(partition);
  writer.int32(size);
  const start = writer.at;
  writer.int64(0n); // the broker gives the offset
  writer.int32(size - HEAD_TO_LENGTH);
  writer.int32(0); // epoch of the leader: the broker's too
  writer.int8(MAGIC);
  const checksumAt = writer.at;
  writer.int32(0);
  writer.int16(request.transactionalId ? TRANSACTIONAL : 0);
  writer.int32(messages.length - 1);
  writer.int64(BigInt(atMs));
  writer.int64(BigInt(atMs));
  writer.int64(BigInt(String(request.producerId)));
  writer.int16(request.producerEpoch);
  writer.int32(firstSequence);
  writer.int32(messages.length);
  for (const [place, message] of messages.entries()) writeRecord(writer, message, { place, size: sizes[place] ?? 0 });
  writer.buffer.writeUInt32BE(crc32c(writer.buffer.subarray(start + HEAD_TO_CHECKED, writer.at)), checksumAt);
}

function writeRecord(writer: Writer, { key, value, headers }: Content, { place, size }: { place: number; size: number }): void {
  writer.varint(size);
  writer.int8(0);
  writer.varint(0); // all of a batch have the same time
  writer.varint(place);
  writer.bytes(key);
  writer.bytes(value);
  writer.varint(countOf(headers));
  for (const name in headers) {
    const each = headers[name];
    if (Buffer.isBuffer(each)) writer.header(name, each);
    else for (const one of each as readonly Buffer[]) writer.header(name, one);
  }
}

function batchSize(ofRecords: readonly number[]): number {
  return ofRecords.reduce((sum, size) => sum + sizeOfVarint(size) + size, HEAD);
}

function sizeOfRecord({ key, value, headers }: Content, place: number): number {
  let size = 2 + sizeOfVarint(place) + sizeOfBytes(key) + sizeOfBytes(value) + sizeOfVarint(countOf(headers));
  for (const name in headers) {
    const each = headers[name];
    const ofName = sizeOfLength(Buffer.byteLength(name));
    if (Buffer.isBuffer(each)) size += ofName + sizeOfBytes(each);
    else for (const one of each as readonly Buffer[]) size += ofName + sizeOfBytes(one);
  }
  return size;
}

function countOf(headers: Headers): number {
  let count = 0;
  for (const name in headers) {
    const each = headers[name];
    count += Buffer.isBuffer(each) ? 1 : (each as readonly Buffer[]).length;
  }
  return count;
}

function sizeOfBytes(bytes: Buffer | null): number {
  return bytes === null ? sizeOfVarint(ABSENT) : sizeOfLength(bytes.length);
}

function sizeOfLength(length: number): number {
  return sizeOfVarint(length) + length;
}

/** Small numbers of either sign are short. */
function zigzag(value: number): number {
  return ((value << 1) ^ (value >> 31)) >>> 0;
}

function sizeOfVarint(value: number): number {
  let size = 1;
  for (let rest = zigzag(value); rest > 0x7f; rest >>>= 7) size += 1;
  return size;
}

/** Writes into a buffer that has room for it. */
class Writer {
  readonly buffer: Buffer;
  at = 0;

  constructor(length: number) {
    this.buffer = Buffer.allocUnsafe(length);
  }

  int8(value: number): void {
    this.at = this.buffer.writeInt8(value, this.at);
  }

  int16(value: number): void {
    this.at = this.buffer.writeInt16BE(value, this.at);
  }

  int32(value: number): void {
    this.at = this.buffer.writeInt32BE(value, this.at);
  }

  int64(value: bigint): void {
    this.at = this.buffer.writeBigInt64BE(value, this.at);
  }

  varint(value: number): void {
    let rest = zigzag(value);
    for (; rest > 0x7f; rest >>>= 7) this.buffer[this.at++] = (rest & 0x7f) | 0x80;
    this.buffer[this.at++] = rest;
  }

  bytes(bytes: Buffer | null): void {
    this.varint(bytes === null ? ABSENT : bytes.length);
    if (bytes === null) return;
    this.buffer.set(bytes, this.at);
    this.at += bytes.length;
  }

  header(name: string, value: Buffer): void {
    this.varint(Buffer.byteLength(name));
    this.at += this.buffer.write(name, this.at);
    this.bytes(value);
  }

  string(text: string | null): void {
    this.int16(text === null ? ABSENT : Buffer.byteLength(text));
    if (text !== null) this.at += this.buffer.write(text, this.at);
  }
}

/** Of CRC-32C (Castagnoli), its bits reversed. */
const POLYNOMIAL = 0x82f63b78;
const REMAINDERS = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit += 1) remainder = remainder & 1 ? (remainder >>> 1) ^ POLYNOMIAL : remainder >>> 1;
  return remainder;
});

/** @source RFC 3720 §12.1 */
function crc32c(bytes: Uint8Array): number {
  let remainder = 0xffffffff;
  for (let at = 0; at < bytes.length; at += 1)
    remainder = (REMAINDERS[(remainder ^ (bytes[at] as number)) & 0xff] as number) ^ (remainder >>> 8);
  return (remainder ^ 0xffffffff) >>> 0;
}
