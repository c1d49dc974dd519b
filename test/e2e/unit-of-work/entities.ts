import {
  BaseEntity,
  Column,
  DeleteDateColumn,
  Entity,
  type EntitySubscriberInterface,
  EventSubscriber,
  type InsertEvent,
  ManyToOne,
  OneToMany,
  PrimaryColumn,
  Tree,
  TreeChildren,
  TreeParent,
} from 'typeorm';

@Entity()
export class Account {
  @PrimaryColumn() id!: string;
  @Column('int', { default: 0 }) balance!: number;
  @DeleteDateColumn() deletedAt?: Date;
  @OneToMany(
    () => Entry,
    (entry) => entry.account,
    { lazy: true },
  )
  entries!: Promise<Entry[]>;
  @OneToMany(
    () => Line,
    (line) => line.account,
    { cascade: true },
  )
  lines!: Line[];
}

@Entity()
export class Entry {
  @PrimaryColumn() id!: string;
  @ManyToOne(
    () => Account,
    (account) => account.entries,
    { lazy: true },
  )
  account!: Promise<Account>;
}

@Entity()
export class Line {
  @PrimaryColumn() id!: string;
  @ManyToOne(
    () => Account,
    (account) => account.lines,
  )
  account!: Account;
}

/** Written by the subscriber below. */
@Entity()
export class Audit {
  @PrimaryColumn() what!: string;
}

@Entity()
export class Note extends BaseEntity {
  @PrimaryColumn() id!: string;
}

@Entity()
@Tree('materialized-path')
export class Category {
  @PrimaryColumn() id!: string;
  @TreeParent() parent?: Category;
  @TreeChildren() children!: Category[];
}

@EventSubscriber()
export class EntrySubscriber implements EntitySubscriberInterface<Entry> {
  /** What TypeORM told of transactions, in order. */
  static readonly told: string[] = [];

  listenTo() {
    return Entry;
  }

  async afterInsert(event: InsertEvent<Entry>): Promise<void> {
    await event.manager.insert(Audit, { what: `entry ${event.entity.id}` });
  }

  beforeTransactionStart(): void {
    EntrySubscriber.told.push('before start');
  }

  afterTransactionStart(): void {
    EntrySubscriber.told.push('after start');
  }

  beforeTransactionCommit(): void {
    EntrySubscriber.told.push('before commit');
  }

  /** Thrown after the next commit. */
  static failsWith: Error | undefined;

  afterTransactionCommit(): void {
    EntrySubscriber.told.push('after commit');
    const error = EntrySubscriber.failsWith;
    EntrySubscriber.failsWith = undefined;
    if (error) throw error;
  }

  beforeTransactionRollback(): void {
    EntrySubscriber.told.push('before rollback');
  }

  afterTransactionRollback(): void {
    EntrySubscriber.told.push('after rollback');
  }
}

export const ENTITIES = [Account, Entry, Line, Audit, Note, Category];
