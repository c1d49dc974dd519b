import { hfError } from '../errors/catalogue.js';
import { failpoint } from '../testing/failpoints.js';
import type { EngineParts } from './engine-parts.js';
import { undoOpenParts } from './nested.js';
import { refuseStream } from './returned-stream.js';
import { Unit, type UnitSettings } from './unit.js';
import { runBeforeHooks } from './unit-hooks.js';

const SETTINGS: UnitSettings = { isolation: undefined, isReadOnly: false, retries: 0, protocol: 'outbox', isOwned: false };

/**
 * Runs `work` in a transaction the user opened: message rows are written when it ends, nothing is committed or rolled back. When it fails its
 * messages are dropped, and its rows are the business of whoever rolls back.
 */
export async function runAdopted<Outgoing, T>(parts: EngineParts<Outgoing>, handle: object, work: () => Promise<T>): Promise<T> {
  const transaction = parts.transactions.adopt(handle);
  const unit = new Unit<Outgoing>(transaction, SETTINGS);
  const letGo = () => transaction.letGo();
  let isExpired = false;
  const running = parts.scopes.with(transaction.dataSource, unit.root, async () => {
    const result = await work();
    refuseStream(result);
    return result;
  });
  try {
    const value = await inTime(unit, running, () => {
      isExpired = true;
    });
    while (unit.hasBefore) await parts.scopes.with(transaction.dataSource, unit.root, () => runBeforeHooks(unit));
    unit.end();
    await undoOpenParts(unit.root);
    if (unit.root.doomedBy) throw unit.root.doomedBy;
    const messages = unit.kept();
    if (messages.length > 0) await parts.writeOutgoing(transaction, messages, unit.settings.protocol);
    failpoint('unit:after-join');
    return value;
  } finally {
    unit.end();
    // Until it has ended what runs on is kept from the connection: behind the rollback of its owner a statement would be a transaction of its own.
    if (isExpired) running.then(letGo, letGo);
    else letGo();
  }
}

/** Waits for the work until the time of a method in it is up: then nothing more is done in it, and whoever opened the transaction is told, to roll it back. */
async function inTime<Outgoing, T>(unit: Unit<Outgoing>, running: Promise<T>, isOver: () => void): Promise<T> {
  const { transaction } = unit;
  const expired = new Promise<never>((_, reject) => {
    unit.expire = (timeoutMs) => {
      const reason = hfError('HF_UOW_TIMEOUT', { timeoutMs, dataSource: transaction.dataSource });
      isOver();
      unit.end(reason);
      void transaction.abort(reason);
      reject(reason);
    };
  });
  try {
    return await Promise.race([running, expired]);
  } finally {
    unit.expire = undefined;
  }
}
