import { Column, Entity, PrimaryColumn } from 'typeorm';

/** A message that waits, or that was given up. One that was published is deleted. */
@Entity('outbox_messages')
export class OutboxRow {
  @PrimaryColumn() id!: string;
  /** Order of the inserts. */
  @Column({ type: 'int', generated: 'increment' }) sequence!: number;
  @Column() topic!: string;
  @Column('jsonb') payload!: object;
  @Column('jsonb') headers!: Record<string, string>;
  @Column('text', { nullable: true }) key!: string | null;
  @Column('double precision') createdAt!: number;
  @Column('int', { default: 0 }) attempts!: number;
  @Column({ default: false }) isDead!: boolean;
  @Column('text', { nullable: true }) lastError!: string | null;
}
