/** A table that amqplib reads as a time, and that has none: its value is a table without a prototype. It is one on the wire only where its keys are inherited. */
export function timeless(): object {
  return Object.create({ '!': 'timestamp', value: Object.fromEntries([['__proto__', null]]) });
}

/** A table that amqplib gives the prototype of bytes, and that JSON takes for some. */
export function bytesInName(): object {
  return Object.fromEntries([['__proto__', Buffer.from('x')]]);
}
