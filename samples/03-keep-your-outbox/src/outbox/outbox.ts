import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { OutboxRow } from './outbox-row.entity.js';

/** What `add` takes. */
export interface NewOutboxMessage {
  topic: string;
  payload: object;
  key?: string;
  id?: string;
}

/** Writes messages with the caller's rows. */
@Injectable()
export class Outbox {
  async add(manager: EntityManager, { topic, payload, key, id = randomUUID() }: NewOutboxMessage): Promise<void> {
    await manager.insert(OutboxRow, { id, topic, payload, headers: {}, key: key ?? null, createdAt: Date.now() });
  }
}
