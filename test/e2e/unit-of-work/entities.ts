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
  @OneToMany(() => Entry, (entry) => entry.account, { cascade: true, lazy: true }) entries!: Promise<Entry[]>;
}

@Entity()
export class Entry {
  @PrimaryColumn() id!: string;
  @ManyToOne(() => Account, (account) => account.entries, { lazy: true }) account!: Promise<Account>;
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
    EntrySubscriber.told.push('beforeTransactionStart');
  }

  afterTransactionCommit(): void {
    EntrySubscriber.told.push('afterTransactionCommit');
  }

  afterTransactionRollback(): void {
    EntrySubscriber.told.push('afterTransactionRollback');
  }
}

export const ENTITIES = [Account, Entry, Audit, Note, Category];
